"""The store: one state, one place where records come in. No loop, no thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .record import Direction, Record
from .reducer import reduce
from .state import Session, State
from .types import SessionKind

__all__ = ["Dispatch", "Middleware", "Store", "Subscriber"]

Subscriber = Callable[[State, Record, State], None]
Dispatch = Callable[[Record], State]
#: Called once with the store and the next dispatch, gives the dispatch to use.
Middleware = Callable[["Store", Dispatch], Dispatch]


class Store:
    """Holds the state, folds records into it and tells subscribers.

    A subscriber is called with the state before, the record and the state after, in
    the order of subscription. One that raises is set aside for that call: its error
    is in `failures`, the others are served. One that dispatches gets its state at
    once, and everyone is told of it after the record at hand: all see one order.
    """

    def __init__(
        self, state: State | None = None, *, middleware: tuple[Middleware, ...] = ()
    ) -> None:
        self._state = State() if state is None else state
        self._seq: dict[str, int] = {
            session.id: session.tally.events
            for session in self._state.sessions.values()
        }
        self._subscribers: dict[str | None, dict[int, Subscriber]] = {}
        self._next_key = 0
        self._untold: deque[tuple[State, Record, State]] = deque()
        self._is_telling = False
        #: Errors that subscribers raised, the last hundred.
        self.failures: list[BaseException] = []
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
        """Fold one record; the state after it."""
        return self._dispatch(record)

    def feed(
        self,
        session_id: str,
        frame: bytes | str | Mapping[str, Any],
        *,
        at: float | None,
        dir: Direction = "in",
        epoch: int = 0,
        src: str | None = None,
    ) -> Record:
        """Make the next record of a session from a frame, fold it, and return it.

        A mapping is taken as the event's JSON values.
        """
        if not isinstance(frame, bytes | str):
            frame = msgspec.json.encode(dict(frame))
        seq = self._seq.get(session_id, 0) + 1
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
        self.dispatch(record)
        return record

    def subscribe(
        self, callback: Subscriber, *, session: str | None = None
    ) -> Callable[[], None]:
        """Call ``callback`` after every record, of one session or of all.

        Returns the function that ends it.
        """
        key = self._next_key
        self._next_key += 1
        self._subscribers.setdefault(session, {})[key] = callback

        def unsubscribe() -> None:
            subscribers = self._subscribers.get(session, {})
            subscribers.pop(key, None)
            if not subscribers:
                self._subscribers.pop(session, None)

        return unsubscribe

    def _kind(self, session_id: str) -> SessionKind:
        session = self.session(session_id)
        return SessionKind.REALTIME if session is None else session.connection.kind

    def _apply(self, record: Record) -> State:
        before = self._state
        after = self._state = reduce(before, record)
        self._seq[record.session] = max(record.seq, self._seq.get(record.session, 0))
        if record.session not in after.sessions:
            self._seq.pop(record.session, None)
        self._untold.append((before, record, after))
        if not self._is_telling:
            self._tell_all()
        return after

    def _tell_all(self) -> None:
        self._is_telling = True
        try:
            while self._untold:
                before, record, after = self._untold.popleft()
                for group in (None, record.session):
                    for key, callback in tuple(
                        self._subscribers.get(group, {}).items()
                    ):
                        if key in self._subscribers.get(group, {}):
                            self._tell(callback, before, record, after)
        finally:
            self._is_telling = False

    def _tell(
        self, callback: Subscriber, before: State, record: Record, after: State
    ) -> None:
        try:
            callback(before, record, after)
        except Exception as error:
            self.failures = [*self.failures[-99:], error]
