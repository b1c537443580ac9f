"""Who may call: the API key and the ephemeral keys that were made with it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from .http_errors import HttpError
from .session_runner import new_id

__all__ = ["WRONG_KEY", "Keys", "Secret", "presented"]

#: The error code for no key, a wrong one, or one whose time is over.
WRONG_KEY = "invalid_api_key"

#: Ephemeral keys that are kept at most; the oldest goes first.
_LIMIT = 10_000
#: How a browser, whose WebSocket has no headers, hands over its key.
_KEY_PROTOCOL = "openai-insecure-api-key."


@attrs.frozen
class Secret:
    """An ephemeral key: ``value`` (``ek_…``), the end of its life, its session."""

    value: str
    expires_at: int
    session: Mapping[str, Any]


def presented(authorization: str, subprotocols: Iterable[str] = ()) -> str:
    """The key of an ``Authorization`` header or of a subprotocol; empty without one."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    for name in subprotocols:
        if name.startswith(_KEY_PROTOCOL):
            return name.removeprefix(_KEY_PROTOCOL)
    return ""


class Keys:
    """Knows the keys. Without an API key of its own it takes any."""

    def __init__(self, key: str | None, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        self._secrets: dict[str, Secret] = {}

    def mint(self, session: Mapping[str, Any], seconds: int) -> Secret:
        """A new ephemeral key for sessions like this one."""
        secret = Secret(new_id("ek"), int(self._clock()) + seconds, session)
        self._drop_expired()
        self._secrets[secret.value] = secret
        return secret

    def check(self, key: str, *, ephemeral: bool) -> Secret | None:
        """The ephemeral key that this is; None for the API key. Raises `HttpError`."""
        if not key:
            raise HttpError(
                401, "You didn't provide an API key in the Authorization header."
            )
        secret = self.secret(key) if ephemeral else None
        if secret is None and not self.is_api_key(key):
            raise HttpError(
                401, "Incorrect or expired API key provided.", code=WRONG_KEY
            )
        return secret

    def is_api_key(self, key: str) -> bool:
        """Whether this is the API key."""
        if key.startswith("ek_"):
            return False
        return self._key is None or self._is_own(key)

    def vouches(self, key: str) -> bool:
        """Whether only somebody who was given this key can have it."""
        own = self._key is not None and self._is_own(key)
        return own or self.secret(key) is not None

    def secret(self, key: str) -> Secret | None:
        """The ephemeral key of that value, while it lives."""
        secret = self._secrets.get(key)
        alive = secret is not None and self._clock() < secret.expires_at
        return secret if alive else None

    def _is_own(self, key: str) -> bool:
        assert self._key is not None
        # A header may hold any byte, and with it halves of surrogate pairs.
        given = key.encode(errors="surrogatepass")
        return hmac.compare_digest(given, self._key.encode())

    def _drop_expired(self) -> None:
        now = self._clock()
        alive = [secret for secret in self._secrets.values() if now < secret.expires_at]
        kept = alive[-(_LIMIT - 1) :]
        self._secrets = {secret.value: secret for secret in kept}
