"""Keys, and the type that keeps them out of sight."""

from __future__ import annotations

from typing import Any, NoReturn

import attrs

__all__ = ["Credentials", "Secret"]


class Secret:
    """A string that shows itself only to `reveal`.

    ``repr``, ``str``, ``format`` give stars, pickling is refused, and there is no
    ``__dict__`` that ``vars`` could print.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the one header that needs it."""
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


@attrs.frozen
class Credentials:
    """How to prove who calls.

    ``key`` is an API key (``sk-…``) or an ephemeral one (``ek_…``, from
    ``POST /realtime/client_secrets``): which of them decides the form of the
    signalling request (API page "Realtime API with WebRTC").
    """

    key: Secret = attrs.field(converter=_secret)

    @property
    def ephemeral(self) -> bool:
        """Whether the key is an ephemeral one."""
        return self.key.reveal().startswith("ek_")

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self.key.reveal()}"
