"""Deduplication: the window of the last event ids, and counters of all events.

Copying the window for every event would be expensive, so it is shared: all `Dedup`
objects of one history read the same dict, each up to its own size. If two of them add
the same id at the same size, they share the entry. If they add different ids, one of
them gets its own window; a counter assigns each position only once.

Several threads may grow the same `Dedup`. This relies on the GIL: taking the next
position, writing an id and copying the first ids are atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["EMPTY_DEDUP", "GENERATION", "Dedup", "Ignored", "SentEvent", "Window"]

#: The number of ids in a generation. The window holds at least as many, at most twice
#: as many.
GENERATION: Final = 512


class SentEvent(Struct, frozen=True, gc=False):
    """A sent client event, kept so that an error can be matched to it.

    If it is the output of a function call, ``call_id`` is that of the call.
    """

    id: str
    type: str
    out_of_band: bool = False
    call_id: str | None = None


class Ignored(Struct, frozen=True, gc=False):
    """The number of events that changed nothing, by the reason.

    The type was ``unknown``; the frame was ``malformed``; a ``duplicate`` had been
    received before; a ``late`` event belongs to something that had already ended.
    """

    unknown: int = 0
    malformed: int = 0
    duplicate: int = 0
    late: int = 0


class Window:
    """The last ids of one history, shared by its states; it only grows."""

    __slots__ = ("free_positions", "positions", "previous")

    def __init__(
        self,
        ids: Iterable[str] = (),
        previous: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        #: The position of each id, in the order of arrival.
        self.positions = _positions(ids)
        #: Assigns each position once.
        self.free_positions = count(len(self.positions))
        #: The ids of the previous generation. It is full, so it no longer grows.
        self.previous = previous


def _positions(ids: Iterable[str]) -> dict[str, int]:
    return {each: position for position, each in enumerate(ids)}


class Dedup(Struct, frozen=True, gc=False, eq=False):
    """Counters, and the event ids seen: the first ``size`` ids of its `Window`.

    Event ids are unique within a connection only, so those of later connections are
    stored as ``epoch:event_id``, and forgotten if another attempt is made to open the
    connection. An id is kept for at least the next 512 ids. ``sent``
    holds the last 64 events that were sent with an id. Two objects are equal if their
    counters and ids are.
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
        """A `Dedup` with its own window; ``seen`` as in the property."""
        older, recent = seen
        # If an id occurs twice, the first counts.
        window = Window(dict.fromkeys(recent), _positions(dict.fromkeys(older)))
        return cls(events, window, len(window.positions), sent, ignored)

    def see(self, event_id: str, epoch: int = 0) -> Dedup:
        """A copy with one more event, with this id; itself if the id is known."""
        if epoch:
            event_id = f"{epoch}:{event_id}"
        window, size = self.window, self.size
        positions = window.positions
        if event_id not in positions:
            if event_id in window.previous:
                return self
            if size >= GENERATION:
                window, size = Window((event_id,), positions), 0
            elif next(window.free_positions) == size:
                positions[event_id] = size
            else:
                window = self._fork(event_id)
        elif positions[event_id] < size:
            return self
        elif positions[event_id] > size:
            window = self._fork(event_id)
        return Dedup(self.events + 1, window, size + 1, self.sent, self.ignored)

    def forget(self, epoch: int) -> Dedup:
        """A copy without the ids of a connection; itself if there are none.

        Without all ids if it is the first connection: there is no other yet.
        """
        prefix = f"{epoch}:" if epoch else ""
        older, recent = (
            [each for each in ids if not each.startswith(prefix)] for ids in self.seen
        )
        if (older, recent) == self.seen:
            return self
        return Dedup.of(self.events, (older, recent), self.sent, self.ignored)

    def _fork(self, event_id: str) -> Window:
        """Copy the window, because another `Dedup` has added a different id to it."""
        return Window((*self._recent(), event_id), self.window.previous)

    def ignore(self, reason: str) -> Dedup:
        """A copy with one more ignored event, for a reason of `Ignored`."""
        ignored = self.ignored
        more = replace(ignored, **{reason: getattr(ignored, reason) + 1})
        return replace(self, ignored=more)

    @property
    def seen(self) -> tuple[list[str], list[str]]:
        """The ids of the previous and of the current generation, oldest first."""
        return list(self.window.previous), self._recent()

    def _recent(self) -> list[str]:
        # A copy of the dict's keys is atomic; an iterator over a growing dict is not.
        return list(self.window.positions)[: self.size]

    @property
    def unknown(self) -> int:
        """The number of events of types that are not in the catalogue."""
        return self.ignored.unknown

    @property
    def malformed(self) -> int:
        """The number of malformed frames."""
        return self.ignored.malformed

    @property
    def duplicate(self) -> int:
        """The number of events that had been received before."""
        return self.ignored.duplicate

    @property
    def late(self) -> int:
        """The number of events that arrived too late to change anything."""
        return self.ignored.late

    def _parts(self) -> tuple[Any, ...]:
        """The arguments of `of`."""
        return self.events, self.seen, self.sent, self.ignored

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dedup):
            return NotImplemented
        return self is other or self._parts() == other._parts()

    def __ne__(self, other: object) -> bool:
        # The `__ne__` of a Struct would not use this `__eq__`.
        return not self == other

    def __hash__(self) -> int:
        return hash((self.events, self.sent, self.ignored))

    def __reduce__(self) -> tuple[Callable[..., Dedup], tuple[Any, ...]]:
        return Dedup.of, self._parts()

    def __repr__(self) -> str:
        return f"Dedup.of{self._parts()!r}"


#: No events.
EMPTY_DEDUP = Dedup()
