"""The service that a command uses, and its key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import attrs

from duologue.core.errors import DuologueError
from duologue.transports import Credentials, Provider, SignallingError
from duologue.transports.http.providers import LOCAL, find_provider
from duologue.transports.http.redaction import shown_url
from duologue.transports.http.signalling import is_loopback

__all__ = ["Service", "find_service", "open_service"]

#: The key for services on this machine that accept any key.
_PLACEHOLDER_KEY = LOCAL.default_key or ""


@attrs.frozen(kw_only=True)
class Service:
    """A base URL, its source (an option or a variable), and its credentials.

    ``key_from`` is the variable that holds the key. It is None without a key; then
    ``credentials`` are the default of the provider, or a placeholder, which a service
    on this machine accepts.
    """

    base_url: str
    url_from: str
    credentials: Credentials
    key_from: str | None
    provider: Provider

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        return is_loopback(self.base_url)

    @property
    def is_usable(self) -> bool:
        """Whether there is a key, or the service needs none."""
        is_optional = self.provider.default_key is not None
        return self.key_from is not None or self.is_loopback or is_optional


def find_service(base_url: str | None, provider: str | None = None) -> Service:
    """Return the service of the options, else of the environment, else the default.

    Raises `DuologueError` for an unknown provider, and `SignallingError`, which names
    the source, for an invalid base URL or if there is none.
    """
    try:
        found = find_provider(provider)
    except ValueError as error:
        raise DuologueError(str(error)) from None
    url_from = "the default"
    if base_url is not None:
        url_from = "--base-url"
    elif os.environ.get(found.base_url_variable):
        url_from = found.base_url_variable
    url = found.find_base_url(base_url)
    try:
        is_loopback(url)
    except SignallingError as error:
        raise SignallingError(f"{url_from} {shown_url(url)!r}: {error}") from None
    has_key = bool(os.environ.get(found.key_variable, "").strip())
    credentials = found.credentials()
    if not has_key and found.default_key is None:
        credentials = Credentials(_PLACEHOLDER_KEY)
    return Service(
        base_url=url,
        url_from=url_from,
        credentials=credentials,
        key_from=found.key_variable if has_key else None,
        provider=found,
    )


@contextlib.asynccontextmanager
async def open_service(
    *, local: bool, base_url: str | None, provider: str | None = None
) -> AsyncIterator[Service]:
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
                provider=LOCAL,
            )
        return
    found = find_service(base_url, provider)
    if not found.is_usable:
        raise DuologueError(
            f"{found.provider.key_variable} is not set: set it to talk to the service, "
            "or use --local to talk to the local one without a key"
        )
    yield found
