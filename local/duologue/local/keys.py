"""Who may call: the API key and the ephemeral keys that were made with it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from .session import new_id

__all__ = ["Keys", "Secret"]

#: Ephemeral keys that are kept at most; the oldest goes first.
_LIMIT = 10_000


@attrs.frozen
class Secret:
    """An ephemeral key: ``value`` (``ek_…``), the end of its life, its session."""

    value: str
    expires_at: int
    session: Mapping[str, Any]


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

    def is_api_key(self, key: str) -> bool:
        """Whether this is the API key."""
        if key.startswith("ek_"):
            return False
        return self._key is None or hmac.compare_digest(
            key.encode(), self._key.encode()
        )

    def secret(self, key: str) -> Secret | None:
        """The ephemeral key of that value, while it lives."""
        secret = self._secrets.get(key)
        alive = secret is not None and self._clock() < secret.expires_at
        return secret if alive else None

    def _drop_expired(self) -> None:
        now = self._clock()
        alive = [secret for secret in self._secrets.values() if now < secret.expires_at]
        kept = alive[-(_LIMIT - 1) :]
        self._secrets = {secret.value: secret for secret in kept}
