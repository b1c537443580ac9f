"""API keys, and a string type that does not show its value."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import attrs

from ..errors import AuthenticationError

__all__ = ["Credentials", "Secret"]


class Secret:
    """A string that only `reveal` returns.

    ``repr``, ``str`` and ``format`` give stars, pickling is refused, and there is no
    ``__dict__`` for ``vars``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the header that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


Kind: TypeAlias = Literal["api", "ephemeral", "bearer"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


def _guessed_kind(credentials: Credentials) -> Kind:
    is_ephemeral = credentials.key.reveal().startswith("ek_")
    return "ephemeral" if is_ephemeral else "api"


@attrs.frozen
class Credentials:
    """A key, and the `KeySource` that always returns it.

    ``kind`` is ``api`` for an API key, ``ephemeral`` for a key of
    ``POST /realtime/client_secrets``, which can only begin sessions, and ``bearer`` for
    an access token, for example of Microsoft Entra. By default, a key that begins with
    ``ek_`` is ephemeral and any other an API key. The kind decides the form of the
    signalling request (API page "Realtime API with WebRTC").
    """

    key: Secret = attrs.field(converter=_secret)
    kind: Kind = attrs.field(
        default=attrs.Factory(_guessed_kind, takes_self=True),
        kw_only=True,
        validator=attrs.validators.in_(_KINDS),
    )

    @classmethod
    def from_environment(cls, name: str = "OPENAI_API_KEY") -> Credentials:
        """The key in this variable; an empty key if it is not set."""
        return cls(os.environ.get(name, "").strip())

    @classmethod
    def from_file(cls, path: str | Path) -> Credentials:
        """The key in a file that has no other content. Raises `AuthenticationError`.

        A file that other users can read is refused.
        """
        path = Path(path)
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise AuthenticationError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise AuthenticationError(f"{path}: it is not text") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise AuthenticationError(
                f"{path}: others may read this key: chmod 600 {path}"
            )
        if not text or len(text.split()) > 1:
            raise AuthenticationError(f"{path}: it must hold one key and nothing else")
        return cls(text)

    @property
    def renews(self) -> bool:
        """False: there is no other key after a refusal."""
        return False

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Return itself at once; ``timeout`` (seconds) is not needed."""
        return self

    @property
    def ephemeral(self) -> bool:
        """Whether this is an ephemeral key."""
        return self.kind == "ephemeral"

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self.key.reveal()}"
