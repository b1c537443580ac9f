"""The store: holds the state and folds records into it. No event loop, no thread.

`Store.dispatch` calls the subscribers before it returns, so a subscriber must be fast.
A slow consumer reads from a `Cursor` instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, TracebackType
from typing import Any, NamedTuple, Self

from .argument_checks import require, require_function
from .events.base import Event
from .events.local import Forgotten
from .events.types import SessionKind
from .log.record import Direction, Record
from .reducer.dispatch import reduce
from .state.model import Session, State
from .wire.audio_fields import audio_bytes
from .wire.codec import decode_bytes
from .wire.frames import DIRECTIONS, MAX_TIME, as_bytes, check

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

#: Called for each record with the state before it, the record and the state after it.
Subscriber = Callable[[State, Record, State], None]
#: Folds a record and returns the state after it.
Dispatch = Callable[[Record], State]
#: Called once with the store and the next dispatch function; returns a function that
#: wraps it. The wrapper may drop a record or pass on a different one.
Middleware = Callable[["Store", Dispatch], Dispatch]

#: The fields of a `Session` except ``id``. A subscription can be limited to one.
SLICES = tuple(name for name in Session.__struct_fields__ if name != "id")
#: The slices of version 0.1 with their new names.
_RENAMED = {"ledger": "'usage' and 'problems'", "tally": "'dedup'"}
_MAX_FAILURES = 100


class Change(NamedTuple):
    """One record with the states before and after it."""

    before: State
    record: Record
    after: State


class Resync(NamedTuple):
    """A cursor overflowed: ``missed`` changes are lost; ``state`` is the current state.

    The consumer starts again from ``state``.
    """

    missed: int
    state: State


class Store:
    """Holds the state, folds records into it and notifies subscribers.

    Subscribers to all sessions are called first, then those to the record's session. In
    both groups, subscribers without a slice come first. Subscribers to the same slice
    are called in the order of subscription.

    If a subscriber raises an `Exception`, it is added to `failures` and the others are
    still called. A `BaseException` (an interrupt, a cancellation) is raised from
    `dispatch` after all subscribers were called. A subscriber may call `dispatch`: the
    call returns the new state at once, but subscribers are notified of the new record
    only after the current one, so that all of them see the same order.

    Raises TypeError for a state or middleware of another type.
    """

    def __init__(
        self, state: State | None = None, *, middleware: tuple[Middleware, ...] = ()
    ) -> None:
        if callable(middleware):
            raise TypeError("middleware is a tuple of functions, not a function")
        for wrap in middleware:
            require_function(wrap, "Store: each middleware")
        self._state = State() if state is None else state
        require(self._state, State, "Store: the state", "; `load` reads a dump")
        self._seq: dict[str, int] = {
            session.id: session.dedup.events
            for session in self._state.sessions.values()
        }
        #: The subscriptions of each scope, in the order in which they were made.
        self._subscribers: dict[_Scope, dict[_Subscription, None]] = {}
        #: A cache of `_subscribers_of`, cleared when a subscriber is added or removed.
        self._by_session: dict[str, _BySlice] = {}
        self._pending: deque[tuple[State, Record, State]] = deque()
        self._is_notifying = False
        #: The record that `feed` made, or the last one that `dispatch` folded.
        self._newest: Record | None = None
        #: The last hundred errors that subscribers raised.
        self.failures: deque[BaseException] = deque(maxlen=_MAX_FAILURES)
        self._dispatch: Dispatch = self._apply
        for wrap in reversed(middleware):
            self._dispatch = wrap(self, self._dispatch)
        # `feed` needs no type check, so it calls `dispatch` only if it is overridden.
        overrides = type(self).dispatch is not Store.dispatch
        self._dispatch_fed: Dispatch = self.dispatch if overrides else self._dispatch

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    def session(self, session_id: str) -> Session | None:
        """The current state of one session; None if it is unknown."""
        return self._state.sessions.get(session_id)

    def dispatch(self, record: Record) -> State:
        """Fold one record; return the new state. Raises TypeError for another type."""
        if record.__class__ is not Record:
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

        A mapping is the event's JSON values; an `Event` is encoded as on the wire.
        ``at``, ``epoch`` and ``src`` are those of the `Record`; latencies are wrong if
        ``at`` decreases. A frame takes effect only in its own direction: local facts
        (``duologue.…``) with ``dir="local"``, client events with ``dir="out"``, service
        events with ``dir="in"``. Otherwise only the counters in ``dedup`` change.

        If a middleware passes on a different record, `feed` returns that record, which
        is the one to log. If a middleware drops the record, ``state`` stays the same
        object. Raises TypeError for a frame or an argument of another type, ValueError
        for a frame that JSON cannot represent and for an argument outside its range.
        """
        data = frame if isinstance(frame, bytes) else as_bytes(frame)
        if (
            session_id.__class__ is not str
            or not session_id.isascii()
            or dir not in DIRECTIONS
            or not (isinstance(at, float) and 0.0 <= at < MAX_TIME)
            or epoch.__class__ is not int
            or epoch < 0
            or src is not None
        ):
            # The complete checks are slow: only unusual values need them.
            check(session_id, at, dir, epoch, src)
        seq = self._seq[session_id] = self._seq.get(session_id, 0) + 1
        try:
            kind = self._state.sessions[session_id].connection.kind
        except KeyError:
            kind = SessionKind.REALTIME
        event = decode_bytes(data, kind)
        audio = audio_bytes(event) if event.AUDIO else None
        record = Record(seq, session_id, dir, event, data, at, epoch, src, audio)
        self._newest = record
        self._dispatch_fed(record)
        return self._newest

    def subscribe(
        self,
        callback: Subscriber,
        *,
        session: str | None = None,
        slice: str | None = None,
    ) -> Callable[[], None]:
        """Call ``callback`` after every record, of one session or of all.

        With a ``slice`` (one of `SLICES`), it is called only after records that changed
        this slice of their session; a new or removed session changes all its slices.
        Returns the function that unsubscribes. Raises ValueError for an unknown slice,
        TypeError if ``callback`` cannot be called or is a coroutine function.
        """
        require_function(callback, "subscribe: the callback")
        require(session, (str, NoneType), "subscribe: the id of a session")
        if slice is not None and slice not in SLICES:
            if slice in _RENAMED:
                raise ValueError(f"slice {slice!r} is now {_RENAMED[slice]}")
            raise ValueError(f"no slice is called {slice!r}; the slices are {SLICES}")
        scope = session, slice
        subscription = _Subscription(callback)
        members = self._subscribers.setdefault(scope, {})
        members[subscription] = None
        self._by_session.clear()

        def unsubscribe() -> None:
            subscription.call = _ended
            members.pop(subscription, None)
            if not members and self._subscribers.get(scope) is members:
                del self._subscribers[scope]
            self._by_session.clear()

        return unsubscribe

    def cursor(
        self, *, session: str | None = None, slice: str | None = None, limit: int = 1024
    ) -> Cursor:
        """The changes from now on, for a consumer that pulls them.

        ``session`` and ``slice`` as in `subscribe`; at most ``limit`` changes are kept.
        Raises ValueError for an unknown slice or a limit below 1.
        """
        return Cursor(self, session, slice, limit)

    def _apply(self, record: Record) -> State:
        before = self._state
        after = self._state = reduce(before, record)
        if record is not self._newest:
            # Records of `feed` must have higher numbers than this record.
            seq = self._seq.get(record.session, 0)
            self._seq[record.session] = max(record.seq, seq)
        if record.event.__class__ is Forgotten:
            self._clean_up(record.session)
        if self._is_notifying or self._pending:
            self._pending.append((before, record, after))
            if not self._is_notifying:
                self._notify_pending()
        else:
            self._is_notifying = True
            try:
                self._notify(before, record, after)
            finally:
                self._is_notifying = False
            if self._pending:
                self._notify_pending()
        self._newest = record
        return after

    def _notify_pending(self) -> None:
        """Notify subscribers of the changes dispatched during a notification."""
        self._is_notifying = True
        try:
            while self._pending:
                self._notify(*self._pending.popleft())
        finally:
            self._is_notifying = False

    def _clean_up(self, session_id: str) -> None:
        if session_id not in self._state.sessions:
            self._seq.pop(session_id, None)
            self._by_session.pop(session_id, None)

    def _notify(self, before: State, record: Record, after: State) -> None:
        """Call all subscribers; then raise the first `BaseException`, if any."""
        raised: BaseException | None = None
        session_id = record.session
        by_slice = self._by_session.get(session_id)
        if by_slice is None:
            by_slice = self._subscribers_of(session_id)
            if session_id in self._state.sessions:
                self._by_session[session_id] = by_slice
        for slice, members in by_slice:
            if slice is not None:
                old = getattr(before.sessions.get(session_id), slice, None)
                if old is getattr(after.sessions.get(session_id), slice, None):
                    continue
            for subscription in members:
                try:
                    subscription.call(before, record, after)
                except Exception as error:
                    self.failures.append(error)
                except BaseException as error:
                    raised = raised or error
        if raised is not None:
            raise raised

    def _subscribers_of(self, session_id: str) -> _BySlice:
        return tuple(
            (slice, tuple(members))
            for session in (None, session_id)
            for slice in (None, *SLICES)
            if (members := self._subscribers.get((session, slice)))
        )


class _Subscription:
    """A callback. Unsubscribing replaces it with `_ended`."""

    __slots__ = ("call",)

    def __init__(self, callback: Subscriber) -> None:
        self.call: Subscriber = callback


def _ended(before: State, record: Record, after: State) -> None:
    """The callback of an ended subscription: does nothing."""


#: The id of a session and the name of a slice; None means all.
_Scope = tuple[str | None, str | None]
#: The subscriptions that concern one session, by slice.
_BySlice = tuple[tuple[str | None, tuple[_Subscription, ...]], ...]


class Cursor:
    """A queue of changes for a consumer that pulls them, with a limit.

    ::

        with store.cursor(slice="items", limit=100) as cursor:
            for change in cursor:       # later, iterate again for newer changes
                ...

    If more than ``limit`` changes are waiting, all are dropped, and the next `pull`
    returns a `Resync` with the state at the time of the pull. No change is dropped
    without a `Resync`. The cursor collects changes until it is closed. A limit below 1
    raises ValueError.
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
        """The next change, or a `Resync`; None if no change is waiting."""
        if self._missed:
            missed, self._missed = self._missed, 0
            return Resync(missed, self._store.state)
        return self._waiting.popleft() if self._waiting else None

    def __iter__(self) -> Iterator[Change | Resync]:
        """The waiting changes, including those that arrive during the iteration."""
        while (next_one := self.pull()) is not None:
            yield next_one

    def __len__(self) -> int:
        return 1 if self._missed else len(self._waiting)

    def close(self) -> None:
        """Unsubscribe and drop the waiting changes. Idempotent."""
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
