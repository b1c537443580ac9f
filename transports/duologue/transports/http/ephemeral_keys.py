"""Key sources that fetch a new key for each connection."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from ..contract import KeySource, ProviderKeySource, Target
from ..errors import AuthenticationError, ConnectTimeout
from .credentials import Credentials, Secret
from .providers import OPENAI, Provider

__all__ = [
    "Credentials",
    "EphemeralKeys",
    "KeySource",
    "Secret",
    "TokenEndpoint",
    "TokenFunction",
]


def _in_range(_: object, attribute: Any, value: int) -> None:
    if not 10 <= value <= 7200:
        raise ValueError(f"lifetime is {value}, it must be from 10 to 7200 s")


@attrs.frozen(kw_only=True)
class EphemeralKeys:
    """Mints an ephemeral key (``ek_…``) just before each connection.

    ``credentials`` is the API key that mints them, or the source of an access token;
    by default, it is the provider's API key in the environment. ``lifetime`` is their
    validity in seconds (10 to 7200). A running session continues after its key has
    expired. If the key expires while connecting, another one is minted. The request
    (``POST /realtime/client_secrets``) contains the session's configuration, unless the
    provider does not take it. The client sets the ``provider``.
    """

    credentials: KeySource | None = None
    lifetime: int = attrs.field(default=60, validator=_in_range)
    provider: Provider = OPENAI

    def bind(self, provider: Provider) -> EphemeralKeys:
        """The same source for this provider."""
        own = self.credentials
        if isinstance(own, ProviderKeySource):
            own = own.bind(provider)
        return attrs.evolve(self, provider=provider, credentials=own)

    @property
    def renews(self) -> bool:
        """True."""
        return True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Mint a key within ``timeout`` seconds.

        Raises `SignallingError`, `ServiceUnreachable` or `ConnectTimeout`.
        """
        from .signalling import create_key

        own = self.credentials or self.provider.credentials()
        target = Target(
            base_url=base_url,
            credentials=await own.fetch(base_url, session, timeout),
            session=session,
            timeout=timeout,
            provider=self.provider,
        )
        key = await create_key(target, self.lifetime)
        return Credentials(key, kind="ephemeral")


@attrs.frozen
class TokenFunction:
    """Calls a function for an access token before each connection.

    ``function`` returns the token, for example that of Microsoft Entra
    (``azure.identity.get_bearer_token_provider``). It runs in a thread, or in the event
    loop if it is a coroutine function. The token is sent as ``Bearer``.
    """

    function: Callable[[], str | Awaitable[str]]

    @property
    def renews(self) -> bool:
        """True."""
        return True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Get a token within ``timeout`` seconds.

        Raises `AuthenticationError` if the function fails or returns no token, and
        `ConnectTimeout`.
        """
        try:
            async with asyncio.timeout(timeout):
                token: Any = await asyncio.to_thread(self.function)
                if inspect.isawaitable(token):
                    token = await token
        except TimeoutError:
            raise ConnectTimeout(
                f"the token function did not return within {timeout:.3g} s"
            ) from None
        except Exception as error:
            # Its text could contain the token.
            raise AuthenticationError(
                f"the token function failed: {type(error).__name__}"
            ) from None
        if not isinstance(token, str) or not token:
            raise AuthenticationError("the token function returned no token")
        return Credentials(token, kind="bearer")


@attrs.frozen
class TokenEndpoint:
    """Fetches a key from your own endpoint before each connection.

    The endpoint gets a POST with the configuration as JSON (``{"session": …}``) and
    ``headers``, which authenticate you. It responds like ``client_secrets``:
    ``{"value": "ek_…"}``, or ``{"client_secret": {"value": …}}`` as in the beta.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def renews(self) -> bool:
        """True."""
        return True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Fetch a key within ``timeout`` seconds.

        Raises `SignallingError`, `ServiceUnreachable` or `ConnectTimeout`.
        """
        from .signalling import fetch_key

        key = await fetch_key(self.url, self.headers, session, timeout)
        return Credentials(key, kind="ephemeral")
