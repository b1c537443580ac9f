"""STUN and TURN servers."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ...http.credentials import Secret

__all__ = ["IceServer"]


def _urls(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


@attrs.frozen
class IceServer:
    """A STUN or TURN server, by the URLs of RFC 7064 and RFC 7065."""

    urls: tuple[str, ...] = attrs.field(converter=_urls)
    username: str | None = None
    credential: Secret | None = attrs.field(default=None, converter=_secret)
