"""Which service a command talks to, and with what key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import attrs

from duologue.core.errors import DuologueError
from duologue.transports import Credentials, SignallingError
from duologue.transports.client.client import DEFAULT_BASE_URL
from duologue.transports.http.signalling import is_loopback

__all__ = ["KEY_VARIABLE", "Service", "find_service", "reached"]

#: Where the key comes from.
KEY_VARIABLE = "OPENAI_API_KEY"
_URL_VARIABLE = "OPENAI_BASE_URL"
#: A key for services that check none; it opens nothing.
_MADE_UP_KEY = "made-up-key-for-the-local-service"


@attrs.frozen(kw_only=True)
class Service:
    """A base URL, who named it, and the key for it.

    ``key_from`` is where the key comes from; None where there is none, and
    ``credentials`` are made up: good enough for a service on this machine.
    """

    base_url: str
    named_by: str
    credentials: Credentials
    key_from: str | None

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine's loopback."""
        return is_loopback(self.base_url)

    @property
    def may_be_asked(self) -> bool:
        """Whether there is a key, or none is needed."""
        return self.key_from is not None or self.is_here


def find_service(base_url: str | None) -> Service:
    """The service of an option, or of the environment, or the real one.

    Raises `SignallingError` with who named it for what is no base URL.
    """
    named_by, url = "the default", DEFAULT_BASE_URL
    if base_url is not None:
        named_by, url = "--base-url", base_url
    elif in_environment := os.environ.get(_URL_VARIABLE):
        named_by, url = _URL_VARIABLE, in_environment
    credentials = Credentials.from_environment(KEY_VARIABLE)
    has_key = bool(credentials.key.reveal())
    try:
        is_loopback(url)
    except SignallingError as error:
        raise SignallingError(f"{named_by} {url!r}: {error}") from None
    return Service(
        base_url=url.rstrip("/"),
        named_by=named_by,
        credentials=credentials if has_key else Credentials(_MADE_UP_KEY),
        key_from=KEY_VARIABLE if has_key else None,
    )


@contextlib.asynccontextmanager
async def reached(*, local: bool, base_url: str | None) -> AsyncIterator[Service]:
    """The service for a turn: a local one of its own, or that of `find_service`.

    Raises a `DuologueError` where it needs a key and there is none.
    """
    if local:
        from duologue.local import LocalService

        async with LocalService() as service:
            yield Service(
                base_url=service.base_url,
                named_by="--local",
                credentials=Credentials(_MADE_UP_KEY),
                key_from=None,
            )
        return
    found = find_service(base_url)
    if not found.may_be_asked:
        raise DuologueError(
            f"{KEY_VARIABLE} is not set: set it to talk to the service, "
            "or use --local to talk to the local one without a key"
        )
    yield found
