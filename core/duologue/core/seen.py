"""The window of event ids seen: what makes a duplicate a duplicate.

It grows with every event, so it shares: all windows of one line of history look into
the same dict, each up to its own count. Two windows that grow from the same one are
told apart by a counter that gives every place once: the second gets a dict of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Final

__all__ = ["GENERATION", "NOTHING_SEEN", "Seen"]

#: Ids in one generation: at least so many of the last ones are remembered, at most
#: twice as many.
GENERATION: Final = 512


class _Generation:
    """What all windows of one line of history share; it only grows."""

    __slots__ = ("older", "place", "places")

    def __init__(self, ids: Iterable[str], older: Seen | None) -> None:
        #: The place of each id, in the order in which they came.
        self.place = {each: place for place, each in enumerate(ids)}
        #: Gives every next place once, to one window alone.
        self.places = count(len(self.place))
        self.older = older


class Seen:
    """An immutable set of the last ids, in the order in which they came."""

    __slots__ = ("_count", "_generation")

    def __init__(self, ids: Iterable[str] = (), older: Seen | None = None) -> None:
        self._generation = _Generation(ids, older)
        self._count = len(self._generation.place)

    def add(self, new: str) -> Seen:
        """The window with this id too; itself if it was seen."""
        generation, size = self._generation, self._count
        place, older = generation.place, generation.older
        if place.get(new, size) < size or (older is not None and new in older):
            return self
        if size >= GENERATION:
            return Seen((new,), Seen(self._own()))
        if next(generation.places) != size:
            # Another window has grown from this one.
            return Seen((*self._own(), new), older)
        place[new] = size
        grown = _new(Seen)
        grown._generation = generation
        grown._count = size + 1
        return grown

    def _own(self) -> Iterator[str]:
        return islice(self._generation.place, self._count)

    def generations(self) -> tuple[list[str], list[str]]:
        """The ids of the older generation and of this one, oldest first."""
        older = self._generation.older
        return [] if older is None else list(older._own()), list(self._own())

    def __contains__(self, item: str) -> bool:
        older, size = self._generation.older, self._count
        if self._generation.place.get(item, size) < size:
            return True
        return older is not None and item in older

    def __len__(self) -> int:
        older = self._generation.older
        return self._count + (0 if older is None else older._count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Seen):
            return NotImplemented
        return self is other or self.generations() == other.generations()

    def __hash__(self) -> int:
        return hash(tuple(self._own()))

    def __reduce__(self) -> tuple[type[Seen], tuple[list[str], Seen | None]]:
        return Seen, (list(self._own()), self._generation.older)

    def __repr__(self) -> str:
        return f"<{len(self)} ids seen>"


_new = object.__new__

#: No ids.
NOTHING_SEEN = Seen()
