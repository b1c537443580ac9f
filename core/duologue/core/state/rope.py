"""Text that grows: appending is flat however long it is, reading is one join.

A text is a piece and the text before it, so all earlier states keep their text and
share it. Equal by text, not by how it came in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["EMPTY_ROPE", "Rope"]


class Rope:
    """An immutable string of chunks. ``str(text)`` joins it, ``bool`` is free."""

    __slots__ = ("_before", "last")

    def __init__(self, text: str = "") -> None:
        self._before: Rope | None = None
        #: The piece that came last: empty only where there is no text.
        self.last = text

    def append(self, delta: str) -> Rope:
        """This text with ``delta`` behind it; itself if there is nothing to add."""
        if not delta:
            return self
        longer = _new(Rope)
        longer._before = self if self.last else None
        longer.last = delta
        return longer

    def chunks(self) -> list[str]:
        """The pieces in which it came, oldest first."""
        pieces = list(self._backwards())
        pieces.reverse()
        return pieces

    def since(self, earlier: Rope) -> list[str] | None:
        """The pieces added since ``earlier``; None where it did not grow from it."""
        added: list[str] = []
        text: Rope | None = self
        while text is not earlier:
            if text is None:
                return added[::-1] if not earlier else None
            if text.last:
                added.append(text.last)
            text = text._before
        return added[::-1]

    def _backwards(self) -> Iterator[str]:
        text: Rope | None = self if self.last else None
        while text is not None:
            yield text.last
            text = text._before

    def __str__(self) -> str:
        return self.last if self._before is None else "".join(self.chunks())

    def __bool__(self) -> bool:
        return self.last != ""

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str(self) == other
        if not isinstance(other, Rope):
            return NotImplemented
        return self is other or str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[Rope], tuple[str]]:
        return Rope, (str(self),)

    def __repr__(self) -> str:
        return f"Rope({str(self)!r})"


#: Half of what a call of the class takes.
_new = object.__new__

#: No text yet.
EMPTY_ROPE = Rope()
