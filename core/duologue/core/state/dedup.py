"""Bookkeeping: counters, and the window of event ids, which tells a duplicate.

A window grows with every event, so it is shared: all tallies of one line of history
look into the same dict, each up to its own size. Two that grow from the same one by the
same id stay in it, for the same id at the same place is the same history: the same
events can be folded again for nothing. Two that grow by different ids are told apart by
a counter that gives every place once: the second gets its own window.

Threads may grow the same tally. That leans on the GIL, under which each step on what
they share is atomic: taking the next place, writing an id, copying the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["EMPTY_DEDUP", "GENERATION", "Dedup", "Ignored", "SentEvent", "Window"]

#: Ids in one generation: at least so many of the last ones are remembered, at most
#: twice as many.
GENERATION: Final = 512


class SentEvent(Struct, frozen=True, gc=False):
    """A client event that went out, so that an error can be traced to it."""

    id: str
    type: str
    out_of_band: bool = False


class Ignored(Struct, frozen=True, gc=False):
    """How many events changed nothing, by the reason.

    Their type is ``unknown``; they were ``malformed``; a ``duplicate`` came before;
    a ``late`` one comes after the end of what it belongs to.
    """

    unknown: int = 0
    malformed: int = 0
    duplicate: int = 0
    late: int = 0


class Window:
    """The last ids of one line of history, which its tallies share; it only grows."""

    __slots__ = ("old", "place", "places")

    def __init__(
        self,
        ids: Iterable[str] = (),
        old: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        #: The place of each id, in the order in which they came.
        self.place = _places(ids)
        #: Gives every next place once, to one tally alone.
        self.places = count(len(self.place))
        #: The ids before. Not their window: it has old ones too. They grow no more, for
        #: a generation has no place to give once it is full.
        self.old = old


def _places(ids: Iterable[str]) -> dict[str, int]:
    return {each: place for place, each in enumerate(ids)}


class Dedup(Struct, frozen=True, gc=False, eq=False):
    """Counters, and the event ids seen: the first ``size`` of its `Window`.

    Ids of later connections than the first stand there as ``epoch:event_id``, because
    they are unique within a connection only. One counts as seen for at least the next
    512. ``sent`` are the last 64 events that went out with an id. Two tallies are equal
    by what they counted and saw.
    """

    events: int = 0
    window: Window = Window()
    size: int = 0
    sent: tuple[SentEvent, ...] = ()
    ignored: Ignored = Ignored()

    @classmethod
    def of(
        cls,
        events: int = 0,
        seen: tuple[Iterable[str], Iterable[str]] = ((), ()),
        sent: tuple[SentEvent, ...] = (),
        ignored: Ignored = Ignored(),  # noqa: B008 - it is frozen
    ) -> Dedup:
        """A tally with a window of its own: see `seen`."""
        older, recent = seen
        # Of an id that stands twice, the first counts.
        window = Window(dict.fromkeys(recent), _places(dict.fromkeys(older)))
        return cls(events, window, len(window.place), sent, ignored)

    def see(self, event_id: str) -> Dedup:
        """The tally with an event of this id more; itself if it was seen."""
        window, size = self.window, self.size
        place = window.place
        if event_id not in place:
            if event_id in window.old:
                return self
            if size >= GENERATION:
                window, size = Window((event_id,), place), 0
            elif next(window.places) == size:
                place[event_id] = size
            else:
                window = self._apart(event_id)
        elif place[event_id] < size:
            return self
        elif place[event_id] > size:
            window = self._apart(event_id)
        return Dedup(self.events + 1, window, size + 1, self.sent, self.ignored)

    def _apart(self, event_id: str) -> Window:
        """A window of its own: another tally has grown otherwise from this one."""
        return Window((*self._recent(), event_id), self.window.old)

    def ignore(self, reason: str) -> Dedup:
        """The tally with one more event ignored, for a reason of `Ignored`."""
        ignored = self.ignored
        more = replace(ignored, **{reason: getattr(ignored, reason) + 1})
        return replace(self, ignored=more)

    @property
    def seen(self) -> tuple[list[str], list[str]]:
        """The ids seen of the generation before and of this one, oldest first."""
        return list(self.window.old), list(self._recent())

    def _recent(self) -> Iterator[str]:
        return islice(self.window.place, self.size)

    @property
    def unknown(self) -> int:
        """Events of a type that is not in the catalogue."""
        return self.ignored.unknown

    @property
    def malformed(self) -> int:
        """Frames that could not be believed."""
        return self.ignored.malformed

    @property
    def duplicate(self) -> int:
        """Events that were seen before."""
        return self.ignored.duplicate

    @property
    def late(self) -> int:
        """Events that came after the end of what they belong to."""
        return self.ignored.late

    def _parts(self) -> tuple[Any, ...]:
        """What makes it, for `of`."""
        return self.events, self.seen, self.sent, self.ignored

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dedup):
            return NotImplemented
        return self is other or self._parts() == other._parts()

    def __ne__(self, other: object) -> bool:
        # A Struct has one of its own, which knows nothing of the one above.
        return not self == other

    def __hash__(self) -> int:
        return hash((self.events, self.sent, self.ignored))

    def __reduce__(self) -> tuple[Callable[..., Dedup], tuple[Any, ...]]:
        return Dedup.of, self._parts()

    def __repr__(self) -> str:
        return f"Dedup.of{self._parts()!r}"


#: Nothing so far.
EMPTY_DEDUP = Dedup()
