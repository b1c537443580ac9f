"""Text that grows: appending is flat however long it is, reading is one join.

A delta adds one cell that points to the cell before it, so all earlier states keep
their text and share it. Equal by text, not by how it came in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["EMPTY", "Text"]

_Cell = tuple[Any, str]


class Text:
    """An immutable string of chunks. ``str(text)`` joins it, ``bool`` is free."""

    __slots__ = ("_cell",)
    _cell: Final[_Cell | None]  # type: ignore[misc]

    def __init__(self, text: str = "") -> None:
        object.__setattr__(self, "_cell", (None, text) if text else None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Text is frozen")

    def append(self, delta: str) -> Text:
        """This text with ``delta`` behind it; itself if there is nothing to add."""
        if not delta:
            return self
        longer = _new(Text)
        _set(longer, "_cell", (self._cell, delta))
        return longer

    def chunks(self) -> list[str]:
        """The pieces in which it came, oldest first."""
        pieces = list(self._backwards())
        pieces.reverse()
        return pieces

    def since(self, earlier: Text) -> list[str] | None:
        """The pieces added since ``earlier``; None where it did not grow from it."""
        added: list[str] = []
        cell = self._cell
        while cell is not earlier._cell:
            if cell is None:
                return None
            cell, piece = cell[0], cell[1]
            added.append(piece)
        added.reverse()
        return added

    def _backwards(self) -> Iterator[str]:
        cell = self._cell
        while cell is not None:
            yield cell[1]
            cell = cell[0]

    def __str__(self) -> str:
        return "".join(self.chunks())

    def __bool__(self) -> bool:
        return self._cell is not None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str(self) == other
        if not isinstance(other, Text):
            return NotImplemented
        return self._cell is other._cell or str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[Text], tuple[str]]:
        return Text, (str(self),)

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"


_new = object.__new__
_set = object.__setattr__

#: No text yet.
EMPTY = Text()
