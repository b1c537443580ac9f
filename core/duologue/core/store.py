"""The store: one state, one place where records come in. No loop, no thread.

Whoever wants to be told at once subscribes, and should be quick about it: the next
record waits. Whoever may be slow takes a `Cursor` and pulls when there is time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, TracebackType
from typing import Any, NamedTuple, Self

from .arguments import require, require_function
from .events.base import Event
from .events.types import SessionKind
from .log.record import Direction, Record
from .reducer.dispatch import reduce
from .state.model import Session, State
from .wire.frames import FRAMES, as_json, check

__all__ = [
    "SLICES",
    "Change",
    "Cursor",
    "Dispatch",
    "Middleware",
    "Resync",
    "Store",
    "Subscriber",
]

#: Is told of each record: the state before it, the record, the state after it.
Subscriber = Callable[[State, Record, State], None]
#: Takes the next record and gives the state after it.
Dispatch = Callable[[Record], State]
#: Called once with the store and the next dispatch, gives the dispatch to use. It may
#: hold a record back, or pass another one on in its place.
Middleware = Callable[["Store", Dispatch], Dispatch]

#: What of a session can be subscribed to: the names of its nodes.
SLICES = tuple(name for name in Session.__struct_fields__ if name != "id")
#: The slices of before 0.2, with their names of now.
_RENAMED = {"ledger": "'usage' and 'problems'", "tally": "'dedup'"}
#: Errors of subscribers that are kept.
_KEPT = 100


class Change(NamedTuple):
    """One record with the states around it, as a subscriber gets them."""

    before: State
    record: Record
    after: State


class Resync(NamedTuple):
    """A cursor was overrun: so many changes are lost to it, and here is the state.

    Whoever draws from the changes draws anew from ``state``.
    """

    missed: int
    state: State


class Store:
    """Holds the state, folds records into it and tells subscribers.

    A subscriber is called with the state before, the record and the state after: those
    of all sessions first, then those of the record's own; of the same slice in the
    order of subscription. One that raises is set aside for that call: its error is in
    `failures`, the others are served. What is no `Exception` (an interrupt, a
    cancellation) is raised to whom dispatched, once the others have been told of the
    record. One that dispatches gets its state at once, and everyone is told of it
    after the record at hand: all see one order. Raises TypeError for what is no state,
    or no tuple of functions as middleware.
    """

    def __init__(
        self, state: State | None = None, *, middleware: tuple[Middleware, ...] = ()
    ) -> None:
        if callable(middleware):
            raise TypeError("middleware is a tuple of functions, not a function")
        for wrap in middleware:
            require_function(wrap, "Store: each middleware")
        self._state = State() if state is None else state
        require(self._state, State, "Store: the state", "; `load` makes one of bytes")
        self._seq: dict[str, int] = {
            session.id: session.dedup.events
            for session in self._state.sessions.values()
        }
        self._scopes: dict[str | None, dict[str | None, _Bucket]] = {}
        self._untold: deque[Change] = deque()
        self._is_telling = False
        self._folded: Record | None = None
        #: Errors that subscribers raised, the last hundred.
        self.failures: deque[BaseException] = deque(maxlen=_KEPT)
        self._dispatch: Dispatch = self._apply
        for wrap in reversed(middleware):
            self._dispatch = wrap(self, self._dispatch)

    @property
    def state(self) -> State:
        """The state now."""
        return self._state

    def session(self, session_id: str) -> Session | None:
        """One session as it is now."""
        return self._state.sessions.get(session_id)

    def dispatch(self, record: Record) -> State:
        """Fold one record; the state after it. Raises TypeError for what is none."""
        require(record, Record, "dispatch: the record", "; `feed` takes frames")
        return self._dispatch(record)

    def feed(
        self,
        session_id: str,
        frame: bytes | str | Mapping[str, Any] | Event,
        *,
        at: float | None,
        dir: Direction = "in",
        epoch: int = 0,
        src: str | None = None,
    ) -> Record:
        """Make the next record of a session from a frame, fold it, and return it.

        A mapping is taken as the event's JSON values, an `Event` as what it is on the
        wire. ``at`` is seconds since the Unix epoch, which never decrease within a
        session: where they do, so do latencies. A frame counts only the way that it
        goes: a fact of our own (``duologue.…``) with ``dir="local"``, what a client
        sends with ``dir="out"``; another way changes nothing but `dedup`.

        Where a middleware passed on another record, that one is returned: it is the one
        to log. Where one dropped it, ``state`` is the same object as before. Raises
        TypeError for a frame or an argument of another type, ValueError for what cannot
        be JSON or stand in a log and for a ``dir``, a time or an epoch that there is
        not.
        """
        if not isinstance(frame, FRAMES):
            frame = as_json(frame)
        check(session_id, at, dir, epoch, src)
        seq = self._seq[session_id] = self._seq.get(session_id, 0) + 1
        record = Record.of(
            frame,
            seq=seq,
            session=session_id,
            dir=dir,
            at=at,
            epoch=epoch,
            src=src,
            kind=self._kind(session_id),
        )
        self._folded = record
        self.dispatch(record)
        return self._folded

    def subscribe(
        self,
        callback: Subscriber,
        *,
        session: str | None = None,
        slice: str | None = None,
    ) -> Callable[[], None]:
        """Call ``callback`` after every record, of one session or of all.

        With a ``slice`` (of `SLICES`) only after those that changed this node of their
        session; one that comes or goes changes them all. Returns the function that
        ends it. Raises ValueError for a slice that there is not, TypeError for what
        cannot be called, or would only be awaited.
        """
        require_function(callback, "subscribe: the callback")
        require(session, (str, NoneType), "subscribe: the id of a session")
        if slice is not None and slice not in SLICES:
            if slice in _RENAMED:
                raise ValueError(f"slice {slice!r} is now {_RENAMED[slice]}")
            raise ValueError(f"no slice is called {slice!r}; there are {SLICES}")
        scope = self._scopes.setdefault(session, {})
        bucket = scope.setdefault(slice, _Bucket())
        subscription = _Subscription(callback)
        bucket.add(subscription)

        def unsubscribe() -> None:
            if bucket.remove(subscription) and scope.get(slice) is bucket:
                del scope[slice]
                if not scope:
                    del self._scopes[session]

        return unsubscribe

    def cursor(
        self, *, session: str | None = None, slice: str | None = None, limit: int = 1024
    ) -> Cursor:
        """The changes from here on, for one who pulls them.

        ``session`` and ``slice`` as in `subscribe`; at most ``limit`` changes wait.
        Raises ValueError for a slice that there is not, or a limit below one.
        """
        return Cursor(self, session, slice, limit)

    def _kind(self, session_id: str) -> SessionKind:
        session = self.session(session_id)
        return SessionKind.REALTIME if session is None else session.connection.kind

    def _apply(self, record: Record) -> State:
        before = self._state
        after = self._state = reduce(before, record)
        self._seq[record.session] = max(record.seq, self._seq.get(record.session, 0))
        if record.session not in after.sessions:
            self._seq.pop(record.session, None)
        self._untold.append(Change(before, record, after))
        if not self._is_telling:
            self._tell_all()
        self._folded = record
        return after

    def _tell_all(self) -> None:
        self._is_telling = True
        try:
            while self._untold:
                self._tell(self._untold.popleft())
        finally:
            self._is_telling = False

    def _tell(self, change: Change) -> None:
        """Tell all who were there when the record came and are still there."""
        raised: BaseException | None = None
        before, record, after = change
        for members in self._due(change):
            for subscription in members:
                try:
                    subscription.tell(before, record, after)
                except Exception as error:
                    self.failures.append(error)
                except BaseException as error:
                    raised = raised or error
        if raised is not None:
            raise raised

    def _due(self, change: Change) -> list[tuple[_Subscription, ...]]:
        """Who is to be told of a change: a look at each slice, not at each of them."""
        session_id = change.record.session
        old = change.before.sessions.get(session_id)
        new = change.after.sessions.get(session_id)
        due: list[tuple[_Subscription, ...]] = []
        for group in (None, session_id):
            scope = self._scopes.get(group)
            if scope is not None:
                due += [
                    bucket.members()
                    for slice, bucket in scope.items()
                    if slice is None or _differs(old, new, slice)
                ]
        return due


def _differs(old: Session | None, new: Session | None, slice: str) -> bool:
    return getattr(old, slice, None) is not getattr(new, slice, None)


class _Subscription:
    """What to call. One that has ended calls nothing, even if its turn was to come."""

    __slots__ = ("tell",)

    def __init__(self, callback: Subscriber) -> None:
        self.tell: Subscriber = callback


def _nothing(before: State, record: Record, after: State) -> None:
    """What is left of a subscription that has ended."""


class _Bucket:
    """The subscriptions to one thing, in their order."""

    __slots__ = ("_all", "_told")

    def __init__(self) -> None:
        self._all: dict[_Subscription, None] = {}
        self._told: tuple[_Subscription, ...] | None = None

    def add(self, subscription: _Subscription) -> None:
        self._all[subscription] = None
        self._told = None

    def remove(self, subscription: _Subscription) -> bool:
        """End one, once or again; whether it left nobody."""
        subscription.tell = _nothing
        self._all.pop(subscription, None)
        self._told = None
        return not self._all

    def members(self) -> tuple[_Subscription, ...]:
        """Those that are to be told now; kept until one comes or goes."""
        if self._told is None:
            self._told = tuple(self._all)
        return self._told


class Cursor:
    """Changes that wait to be pulled, not more than a limit of them.

    ::

        with store.cursor(slice="items", limit=100) as cursor:
            for change in cursor:       # what is there now; later, once more
                ...

    One that is overrun lets all go that waited, and gives a `Resync` with the state
    of the moment at which it is pulled: nothing is skipped without one. It keeps what
    waits until it is closed. A limit below 1 raises ValueError.
    """

    def __init__(
        self, store: Store, session: str | None, slice: str | None, limit: int
    ) -> None:
        require(limit, int, "cursor: the limit")
        if limit < 1:
            raise ValueError(f"limit is {limit}, it must be 1 or more")
        self._store = store
        self._limit = limit
        self._waiting: deque[Change] = deque()
        self._missed = 0
        self._unsubscribe = store.subscribe(self._push, session=session, slice=slice)

    def pull(self) -> Change | Resync | None:
        """The next change, or a `Resync`; None where nothing waits."""
        if self._missed:
            missed, self._missed = self._missed, 0
            return Resync(missed, self._store.state)
        return self._waiting.popleft() if self._waiting else None

    def __iter__(self) -> Iterator[Change | Resync]:
        """All that waits now, and what comes while it is read."""
        while (next_one := self.pull()) is not None:
            yield next_one

    def __len__(self) -> int:
        return 1 if self._missed else len(self._waiting)

    def close(self) -> None:
        """Let go of what waits; nothing more comes. Idempotent."""
        self._unsubscribe()
        self._waiting.clear()
        self._missed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _push(self, before: State, record: Record, after: State) -> None:
        if self._missed:
            self._missed += 1
        elif len(self._waiting) >= self._limit:
            self._missed = len(self._waiting) + 1
            self._waiting.clear()
        else:
            self._waiting.append(Change(before, record, after))
