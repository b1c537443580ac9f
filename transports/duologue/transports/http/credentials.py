"""Keys: where they come from, and the type that keeps them out of sight."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

import attrs

__all__ = ["Credentials", "EphemeralKeys", "KeySource", "Secret", "TokenEndpoint"]


class KeySource(Protocol):
    """Gives the key for one connection: `Credentials`, or something that fetches it."""

    @property
    def renews(self) -> bool:
        """Whether another key may help where one was refused."""

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """The key for a connection with this configuration, within ``timeout`` seconds.

        Raises a `ConnectError`.
        """


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

    @classmethod
    def from_environment(cls, name: str = "OPENAI_API_KEY") -> Credentials:
        """The key in this variable; an empty one where it is not set."""
        return cls(os.environ.get(name, "").strip())

    @classmethod
    def from_file(cls, path: str | Path) -> Credentials:
        """The key that is all of this file. Raises `AuthenticationError`.

        A file that others than its owner may read is refused.
        """
        from ..errors import AuthenticationError

        path = Path(path)
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise AuthenticationError(f"{path}: {why}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise AuthenticationError(
                f"{path}: others may read this key: chmod 600 {path}"
            )
        if not text or len(text.split()) > 1:
            raise AuthenticationError(f"{path}: it must hold one key and nothing else")
        return cls(text)

    @property
    def renews(self) -> bool:
        """Whether there is another key when this one is refused: no."""
        return False

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """This one, at once; ``timeout`` (seconds) is not needed."""
        return self

    @property
    def ephemeral(self) -> bool:
        """Whether the key is an ephemeral one."""
        return self.key.reveal().startswith("ek_")

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self.key.reveal()}"


def _in_range(_: object, attribute: Any, value: int) -> None:
    if not 10 <= value <= 7200:
        raise ValueError(f"lifetime is {value}, it must be from 10 to 7200 s")


@attrs.frozen(kw_only=True)
class EphemeralKeys:
    """An ephemeral key for each connection, minted just before (``ek_…``).

    ``credentials`` is the API key that mints them, ``lifetime`` in seconds how long
    one is good for (10 to 7200). A running session outlives its key; a connection
    that took too long gets another one (`POST /realtime/client_secrets`). The
    configuration of the session goes with the key.
    """

    credentials: Credentials = attrs.field(factory=Credentials.from_environment)
    lifetime: int = attrs.field(default=60, validator=_in_range)

    @property
    def renews(self) -> bool:
        """Yes."""
        return True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Mint a key, within ``timeout`` seconds.

        Raises the errors of `signalling.create_key`.
        """
        from ..contract import Target
        from .signalling import create_key

        target = Target(
            base_url=base_url,
            credentials=self.credentials,
            session=session,
            timeout=timeout,
        )
        return Credentials(await create_key(target, self.lifetime))


@attrs.frozen
class TokenEndpoint:
    """Keys from an address of your own, asked for one before each connection.

    It gets a POST with the configuration as JSON (``{"session": …}``) and ``headers``,
    which say who asks, and answers as ``client_secrets`` does: ``{"value": "ek_…"}``,
    or ``{"client_secret": {"value": …}}`` as it was in the beta.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def renews(self) -> bool:
        """Yes."""
        return True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Ask for a key, within ``timeout`` seconds.

        Raises the errors of `signalling.fetch_key`.
        """
        from .signalling import fetch_key

        return Credentials(await fetch_key(self.url, self.headers, session, timeout))
