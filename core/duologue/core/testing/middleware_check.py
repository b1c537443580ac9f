"""The check of a middleware."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from duologue.core.events.base import Malformed
from duologue.core.events.types import SessionKind
from duologue.core.log.record import Record
from duologue.core.state.model import State
from duologue.core.store import Dispatch, Middleware, Store
from duologue.core.wire.codec import decode

from .counterexample import search
from .failure_report import Fault, name_of, place, raised
from .stream import Stream, Streams, shown

__all__ = ["check_middleware"]

#: The fields of a record that a middleware must not change.
_FIXED = ("seq", "session", "epoch", "dir", "at")


def check_middleware(
    middleware: Middleware, *, streams: Streams | None = None, examples: int = 100
) -> None:
    """Raise `Fault` unless a store works with this middleware.

    For every record it must not raise, and must return the state of the store: the
    result of the next dispatch, or ``store.state``. It may drop the record, or pass it
    on once, before it returns. It may change ``src``, and the event together with the
    frame: they must agree, or the log folds to another state. It must not change seq,
    session, epoch, dir or at, nor the state itself.

    The check does not detect other side effects or later ones (a thread, a timer, a
    file). It does not know which records you intend to drop or change.

    ``streams`` and ``examples`` are as in `check_reducer`. Raises TypeError if
    ``streams`` is neither a strategy nor a sequence of records.

    >>> def mute(store, dispatch):
    ...     def muted(record):
    ...         if record.event.type == "ping":
    ...             return store.state
    ...         return dispatch(record)
    ...     return muted
    >>> check_middleware(mute, examples=10)
    >>> def forgetful(store, dispatch):
    ...     def go(record):
    ...         dispatch(record)
    ...     return go
    >>> check_middleware(forgetful, examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.Fault: forgetful returned None, not the state of the store,
    at record 1 (duologue.connecting): is a return missing?
    ...
    """
    search(lambda stream: _check(middleware, stream), streams, examples)


def _check(middleware: Middleware, stream: Stream) -> None:
    probe = _Probe()
    store = _store(middleware, probe)
    for number, record in enumerate(stream, start=1):
        probe.passed.clear()
        where = place(number, record)
        try:
            result: Any = store.dispatch(record)
            what = _wrong(record, probe, store.state, result)
        except Exception as error:
            what = raised(middleware, error, where)
            raise Fault(what, stream[:number]) from error
        if what is not None:
            hint = ": is a return missing?" if what.startswith("returned None") else ""
            what = f"{name_of(middleware)} {what}, {where}{hint}"
            raise Fault(what, stream[:number])
        probe.seen.setdefault(id(record.event), (number, record))


def _store(middleware: Middleware, probe: _Probe) -> Store:
    """A store with the middleware, and a probe after it."""

    def made(store: Store, dispatch: Dispatch) -> Dispatch:
        try:
            go: Any = middleware(store, dispatch)
        except Exception as error:
            what = raised(
                middleware, error, "when it was called with (store, dispatch)"
            )
            raise Fault(f"{what}: {_FACTORY}", []) from error
        if not callable(go):
            what = f"{name_of(middleware)} returned {shown(go)} for (store, dispatch)"
            raise Fault(f"{what}: {_FACTORY}", [])
        return cast(Dispatch, go)

    return Store(middleware=(made, probe))


_FACTORY = (
    "a middleware is called once, with the store and the next dispatch, and returns "
    "the function that is called with each record"
)


class _Probe:
    """The innermost middleware: it sees the records that reach the store."""

    def __init__(self) -> None:
        self.passed: list[Record] = []
        #: Earlier records by the identity of their event.
        self.seen: dict[int, tuple[int, Record]] = {}
        self.state: State | None = None
        self.touched = False

    def __call__(self, store: Store, dispatch: Dispatch) -> Dispatch:
        self.state = store.state

        def go(record: Record) -> State:
            self.touched |= store.state is not self.state
            self.passed.append(record)
            self.state = dispatch(record)
            return self.state

        return go


def _wrong(record: Record, probe: _Probe, state: State, result: object) -> str | None:
    """What the middleware did wrong with a record, if anything."""
    if probe.touched or state is not probe.state:
        return "changed the state of the store without a record"
    if len(probe.passed) > 1:
        return f"passed on {len(probe.passed)} records in place of one"
    for passed in probe.passed:
        if (what := _changed(record, passed, probe)) is not None:
            return what
    if result is not state:
        name = "another state" if isinstance(result, State) else shown(result)
        return f"returned {name}, not the state of the store"
    return None


def _changed(record: Record, passed: Record, probe: _Probe) -> str | None:
    """What is wrong with a record that was passed on for this one, if anything."""
    if passed is record:
        return None
    for name in _FIXED:
        was, now = getattr(record, name), getattr(passed, name)
        if was != now:
            return f"changed {name} from {was!r} to {now!r}"
    if passed.event is not record.event and id(passed.event) in probe.seen:
        return f"passed on the event of record {probe.seen[id(passed.event)][0]}"
    if not _matches(passed):
        return "passed on a frame that does not match its event: change both"
    return None


def _matches(record: Record) -> bool:
    """Whether the frame decodes to the event, in either kind of session."""
    if isinstance(record.event, Malformed):
        return True
    return any(
        _plain(decode(record.frame, kind=kind)) == _plain(record.event)
        for kind in (SessionKind.REALTIME, SessionKind.TRANSLATION)
    )


def _plain(event: Any) -> bytes:
    return msgspec.json.encode(event)
