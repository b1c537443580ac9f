"""Removes keys from foreign text in messages, and from the ``repr`` of headers.

Some services repeat the refused key, and crash reporters print the variables of every
frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .credentials import Secret

__all__ = ["Headers", "one_line", "shown_url"]

#: Maximum length of a quoted foreign text in characters.
_QUOTED = 200
_STARS = "***"
#: Text in the form of a key. "Bearer" may also be a word in a sentence.
_KEY_LIKE = re.compile(
    r"(?<![A-Za-z0-9])(sk-|ek_|xai-)[A-Za-z0-9_*-]+"
    r"|\b(bearer )(?=\S*[0-9]|\S{20})[A-Za-z0-9._~+/=-]+",
    re.IGNORECASE,
)


def one_line(text: str, key: Secret | None = None) -> str:
    """A foreign text as one printable line, shortened.

    ``key`` and everything that looks like a key become stars.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    if key is not None and key.reveal():
        line = line.replace(key.reveal(), _STARS)
    # Redact before shortening: a part of a key is secret too.
    line = _KEY_LIKE.sub(_redacted, line)
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"


def shown_url(url: str) -> str:
    """A URL without its query and its user, which may contain keys and passwords."""
    place, mark, _ = url.partition("?")
    # A password may contain a slash that is not encoded.
    return re.sub(r"//.*@", f"//{_STARS}@", place) + (mark and f"?{_STARS}")


def _redacted(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{_STARS}"


class Headers(Mapping[str, str]):
    """HTTP headers whose ``repr`` shows names and no values."""

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
