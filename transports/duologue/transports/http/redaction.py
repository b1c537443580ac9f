"""What a message of ours repeats of foreign texts, and headers that hide their key.

Some services repeat the key that they refuse, and tools that report crashes print the
variables of every frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .credentials import Secret

__all__ = ["Headers", "one_line"]

#: Characters of a foreign text that a message of ours repeats.
_QUOTED = 200
_STARS = "***"
#: What looks like a key, whoever's it is. A word may follow "Bearer" in a sentence.
_KEY_LIKE = re.compile(
    r"(?<![A-Za-z0-9])(sk-|ek_)[A-Za-z0-9_*-]+"
    r"|\b(bearer )(?=\S*[0-9]|\S{20})[A-Za-z0-9._~+/=-]+",
    re.IGNORECASE,
)


def one_line(text: str, key: Secret | None = None) -> str:
    """A foreign text as part of a message of ours.

    ``key`` and all that looks like a key become stars.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    if key is not None and key.reveal():
        line = line.replace(key.reveal(), _STARS)
    # Before it is cut: the first half of a key is a secret too.
    line = _KEY_LIKE.sub(_masked, line)
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"


def _masked(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{_STARS}"


class Headers(Mapping[str, str]):
    """Headers of a request whose ``repr`` names them and shows no value."""

    __slots__ = ("_values",)

    def __init__(self, *parts: Mapping[str, str]) -> None:
        self._values = {name: part[name] for part in parts for name in part}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"
