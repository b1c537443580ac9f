"""Authentication: the API key and the ephemeral keys created with it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from .http_errors import HttpError
from .session_runner import new_id

__all__ = ["WRONG_KEY", "EphemeralKey", "Keys", "request_key"]

#: The error code for a wrong or expired key; a missing one has no code.
WRONG_KEY = "invalid_api_key"

#: Maximum number of ephemeral keys; the oldest is dropped first.
_LIMIT = 10_000
#: The subprotocol with the key of a browser, whose WebSocket cannot set headers.
#: The shortest key of which an error message shows the ends.
_LONG_KEY = 20
_KEY_PROTOCOL = "openai-insecure-api-key."


@attrs.frozen
class EphemeralKey:
    """A key ``ek_…`` for sessions with the configuration ``session``."""

    value: str
    expires_at: int
    session: Mapping[str, Any]


def request_key(authorization: str, subprotocols: Iterable[str] = ()) -> str:
    """The key in an ``Authorization`` header or a subprotocol; empty if none."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    for name in subprotocols:
        if name.startswith(_KEY_PROTOCOL):
            return name.removeprefix(_KEY_PROTOCOL)
    return ""


def _masked(key: str) -> str:
    """A key for an error message: its ends, or nothing of a short key."""
    shown = len(key) >= _LONG_KEY and key.isascii()
    return f"{key[:3]}***{key[-4:]}" if shown else "***"


class Keys:
    """Checks keys. If ``key`` is None, every API key is accepted."""

    def __init__(self, key: str | None, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        self._secrets: dict[str, EphemeralKey] = {}

    def mint(self, session: Mapping[str, Any], seconds: int) -> EphemeralKey:
        """Create an ephemeral key for ``session`` that expires after ``seconds``."""
        secret = EphemeralKey(new_id("ek"), int(self._clock()) + seconds, session)
        self._drop_expired()
        self._secrets[secret.value] = secret
        return secret

    def check(self, key: str, *, ephemeral: bool) -> EphemeralKey | None:
        """The ephemeral key ``key``; None for the API key. Raises `HttpError`."""
        if not key:
            raise HttpError(
                401, "You didn't provide an API key in the Authorization header."
            )
        secret = self.ephemeral(key) if ephemeral else None
        if secret is None and not self.is_api_key(key):
            raise HttpError(
                401, f"Incorrect API key provided: {_masked(key)}.", code=WRONG_KEY
            )
        return secret

    def is_api_key(self, key: str) -> bool:
        """Whether ``key`` is accepted as an API key."""
        if key.startswith("ek_"):
            return False
        return self._key is None or self._is_own(key)

    def is_secret(self, key: str) -> bool:
        """Whether the key is secret: the service's own or a valid ephemeral key."""
        own = self._key is not None and self._is_own(key)
        return own or self.ephemeral(key) is not None

    def ephemeral(self, key: str) -> EphemeralKey | None:
        """The ephemeral key with this value, unless it has expired."""
        secret = self._secrets.get(key)
        alive = secret is not None and self._clock() < secret.expires_at
        return secret if alive else None

    def _is_own(self, key: str) -> bool:
        assert self._key is not None
        # A header may contain any byte, so a key may contain lone surrogates.
        given = key.encode(errors="surrogatepass")
        return hmac.compare_digest(given, self._key.encode())

    def _drop_expired(self) -> None:
        now = self._clock()
        alive = [secret for secret in self._secrets.values() if now < secret.expires_at]
        kept = alive[-(_LIMIT - 1) :]
        self._secrets = {secret.value: secret for secret in kept}
