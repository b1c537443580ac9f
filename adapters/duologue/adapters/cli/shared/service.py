"""The service that a command uses, and its key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import attrs

from duologue.core.errors import DuologueError
from duologue.transports import Credentials, SignallingError
from duologue.transports.client.client import DEFAULT_BASE_URL
from duologue.transports.http.signalling import is_loopback

__all__ = ["KEY_VARIABLE", "Service", "find_service", "open_service"]

KEY_VARIABLE = "OPENAI_API_KEY"
_URL_VARIABLE = "OPENAI_BASE_URL"
#: The key for services that accept any key.
_PLACEHOLDER_KEY = "made-up-key-for-the-local-service"


@attrs.frozen(kw_only=True)
class Service:
    """A base URL, its source (an option or a variable), and its credentials.

    ``key_from`` is the variable that holds the key. It is None without a key; then
    ``credentials`` are a placeholder, which a service on this machine accepts.
    """

    base_url: str
    url_from: str
    credentials: Credentials
    key_from: str | None

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        return is_loopback(self.base_url)

    @property
    def is_usable(self) -> bool:
        """Whether there is a key, or the service needs none."""
        return self.key_from is not None or self.is_loopback


def find_service(base_url: str | None) -> Service:
    """Return the service of the option, else of the environment, else OpenAI's.

    Raises `SignallingError`, which names the source, for an invalid base URL.
    """
    url_from, url = "the default", DEFAULT_BASE_URL
    if base_url is not None:
        url_from, url = "--base-url", base_url
    elif in_environment := os.environ.get(_URL_VARIABLE):
        url_from, url = _URL_VARIABLE, in_environment
    credentials = Credentials.from_environment(KEY_VARIABLE)
    has_key = bool(credentials.key.reveal())
    try:
        is_loopback(url)
    except SignallingError as error:
        raise SignallingError(f"{url_from} {url!r}: {error}") from None
    return Service(
        base_url=url.rstrip("/"),
        url_from=url_from,
        credentials=credentials if has_key else Credentials(_PLACEHOLDER_KEY),
        key_from=KEY_VARIABLE if has_key else None,
    )


@contextlib.asynccontextmanager
async def open_service(*, local: bool, base_url: str | None) -> AsyncIterator[Service]:
    """Start a local service, or return the result of `find_service`.

    Raises a `DuologueError` if the service needs a key and there is none.
    """
    if local:
        from duologue.local import LocalService

        async with LocalService() as service:
            yield Service(
                base_url=service.base_url,
                url_from="--local",
                credentials=Credentials(_PLACEHOLDER_KEY),
                key_from=None,
            )
        return
    found = find_service(base_url)
    if not found.is_usable:
        raise DuologueError(
            f"{KEY_VARIABLE} is not set: set it to talk to the service, "
            "or use --local to talk to the local one without a key"
        )
    yield found
