"""Key sources that fetch a new key for each connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..contract import KeySource, Target
from .credentials import Credentials, Secret

__all__ = ["Credentials", "EphemeralKeys", "KeySource", "Secret", "TokenEndpoint"]


def _in_range(_: object, attribute: Any, value: int) -> None:
    if not 10 <= value <= 7200:
        raise ValueError(f"lifetime is {value}, it must be from 10 to 7200 s")


@attrs.frozen(kw_only=True)
class EphemeralKeys:
    """Mints an ephemeral key (``ek_…``) just before each connection.

    ``credentials`` is the API key that mints them; ``lifetime`` is their validity in
    seconds (10 to 7200). A running session continues after its key has expired. If the
    key expires while connecting, another one is minted. The request
    (``POST /realtime/client_secrets``) contains the session's configuration.
    """

    credentials: Credentials = attrs.field(factory=Credentials.from_environment)
    lifetime: int = attrs.field(default=60, validator=_in_range)

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

        target = Target(
            base_url=base_url,
            credentials=self.credentials,
            session=session,
            timeout=timeout,
        )
        key = await create_key(target, self.lifetime)
        return Credentials(key, kind="ephemeral")


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
