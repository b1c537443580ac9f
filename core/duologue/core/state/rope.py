"""A rope: text in chunks. Appending takes constant time; reading joins the chunks.

Appending makes a new rope that refers to the old one, so states share their text.
Ropes with the same text are equal, even if their chunks differ.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["EMPTY_ROPE", "Rope"]


class Rope:
    """An immutable text in chunks. ``str(rope)`` joins them; ``bool`` is cheap."""

    __slots__ = ("_before", "last")

    def __init__(self, text: str = "") -> None:
        self._before: Rope | None = None
        #: The last chunk; it is empty only if the whole rope is empty.
        self.last = text

    def append(self, delta: str) -> Rope:
        """The rope with ``delta`` at the end; itself if ``delta`` is empty."""
        if not delta:
            return self
        longer = _new(Rope)
        longer._before = self if self.last else None
        longer.last = delta
        return longer

    def chunks(self) -> list[str]:
        """The chunks, first to last."""
        pieces = list(self._backwards())
        pieces.reverse()
        return pieces

    def since(self, earlier: Rope) -> list[str] | None:
        """The chunks appended to ``earlier``; None if the rope was not made from it."""
        added: list[str] = []
        text: Rope | None = self
        while text is not earlier:
            if text is None:
                # Every rope extends the empty rope.
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


#: Makes a rope without `Rope.__init__`, in half the time.
_new = object.__new__

#: The rope without text.
EMPTY_ROPE = Rope()
