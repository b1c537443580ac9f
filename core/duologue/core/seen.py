"""The window of event ids seen: what makes a duplicate a duplicate.

It grows with every event, so it shares: all windows of one line of history look into
the same dict, each up to its own count. Two windows that grow from the same one are
told apart by a counter that gives every place once: the second gets a dict of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Final

from msgspec import Struct

__all__ = ["GENERATION", "NOTHING_SEEN", "Seen"]

#: Ids in one generation: at least so many of the last ones are remembered, at most
#: twice as many.
GENERATION: Final = 512


class _Generation:
    """What all windows of one line of history share; it only grows."""

    __slots__ = ("old", "old_size", "place", "places")

    def __init__(self, ids: Iterable[str], old: dict[str, int], old_size: int) -> None:
        #: The place of each id, in the order in which they came.
        self.place = {each: place for place, each in enumerate(ids)}
        #: Gives every next place once, to one window alone.
        self.places = count(len(self.place))
        #: The ids before, up to their size. Not their generation: it has old ones too.
        self.old = old
        self.old_size = old_size


class Seen(Struct, frozen=True, gc=False, eq=False):
    """An immutable set of the last ids, in the order in which they came."""

    # A Struct, because every event makes one.

    _generation: _Generation
    _size: int

    @classmethod
    def of(cls, ids: Iterable[str] = (), older: Iterable[str] = ()) -> Seen:
        """The window that holds these ids, and of the generation before ``older``."""
        old = {each: place for place, each in enumerate(older)}
        generation = _Generation(ids, old, len(old))
        return cls(generation, len(generation.place))

    def add(self, new: str) -> Seen:
        """The window with this id too; itself if it was seen."""
        generation, size = self._generation, self._size
        place = generation.place
        if new in place:
            if place[new] < size:
                return self
        elif new in generation.old and generation.old[new] < generation.old_size:
            return self
        if size >= GENERATION:
            return Seen(_Generation((new,), place, size), 1)
        if next(generation.places) != size:
            # Another window has grown from this one.
            ids = (*self._own(), new)
            return Seen(_Generation(ids, generation.old, generation.old_size), size + 1)
        place[new] = size
        return Seen(generation, size + 1)

    def _own(self) -> Iterator[str]:
        return islice(self._generation.place, self._size)

    def generations(self) -> tuple[list[str], list[str]]:
        """The ids of the older generation and of this one, oldest first."""
        generation = self._generation
        return list(islice(generation.old, generation.old_size)), list(self._own())

    def __contains__(self, item: str) -> bool:
        generation, size = self._generation, self._size
        old_size = generation.old_size
        return (
            generation.place.get(item, size) < size
            or generation.old.get(item, old_size) < old_size
        )

    def __len__(self) -> int:
        return self._size + self._generation.old_size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Seen):
            return NotImplemented
        return self is other or self.generations() == other.generations()

    def __hash__(self) -> int:
        return hash(tuple(self._own()))

    def __reduce__(self) -> tuple[Callable[..., Seen], tuple[list[str], list[str]]]:
        older, own = self.generations()
        return Seen.of, (own, older)

    def __repr__(self) -> str:
        return f"<{len(self)} ids seen>"


#: No ids.
NOTHING_SEEN = Seen.of()
