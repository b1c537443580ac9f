"""The check of a middleware in one line."""

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
from .failure_report import Fault, name_of, place, raised, shown
from .stream import Stream
from .stream_sources import Streams

__all__ = ["check_middleware"]

#: What says where a record stands. A middleware leaves it as it is.
_PLACE = ("seq", "session", "epoch", "dir", "at")


def check_middleware(
    middleware: Middleware, *, streams: Streams | None = None, examples: int = 100
) -> None:
    """Raise `Fault` unless a store with this middleware still does its work.

    Whatever comes, it must not raise, and must give back the state of the store: what
    the next dispatch returned, or ``store.state``. It may hold a record back, or pass
    it on once, while it is called with it. Of what it passes on it may change the
    event together with the frame (they must say the same, or the log folds to
    something else) and ``src``; not the place: seq, session, epoch, dir and at. It
    must not touch the state itself.

    It cannot see what a middleware does elsewhere or afterwards (in a thread, by a
    timer, to a file), nor whether what it holds back or changes is what you mean.

    ``streams`` and ``examples`` are those of `check_reducer`. Raises TypeError for
    ``streams`` that are neither a strategy nor a sequence of records.

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
    duologue.core.testing.Fault: forgetful gave None, not the state of the store,
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
            given: Any = store.dispatch(record)
            what = _wrong(record, probe, store.state, given)
        except Exception as error:
            what = raised(middleware, error, where)
            raise Fault(what, stream[:number]) from error
        if what is not None:
            hint = ": is a return missing?" if what.startswith("gave None") else ""
            what = f"{name_of(middleware)} {what}, {where}{hint}"
            raise Fault(what, stream[:number])
        probe.came.setdefault(id(record.event), (number, record))


def _store(middleware: Middleware, probe: _Probe) -> Store:
    """A store with the middleware, and a probe behind it."""

    def made(store: Store, dispatch: Dispatch) -> Dispatch:
        try:
            go: Any = middleware(store, dispatch)
        except Exception as error:
            what = raised(
                middleware, error, "when it was called with (store, dispatch)"
            )
            raise Fault(f"{what}: {_FACTORY}", []) from error
        if not callable(go):
            what = f"{name_of(middleware)} gave {shown(go)} for (store, dispatch)"
            raise Fault(f"{what}: {_FACTORY}", [])
        return cast(Dispatch, go)

    return Store(middleware=(made, probe))


_FACTORY = (
    "a middleware is called once, with the store and the next dispatch, and gives the "
    "function to call with each record"
)


class _Probe:
    """The innermost middleware: what comes to the store, and what it becomes."""

    def __init__(self) -> None:
        self.passed: list[Record] = []
        #: The records that came, by their event.
        self.came: dict[int, tuple[int, Record]] = {}
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


def _wrong(record: Record, probe: _Probe, state: State, given: object) -> str | None:
    """What a middleware did wrong with a record."""
    if probe.touched or state is not probe.state:
        return "left the store with what no record says"
    if len(probe.passed) > 1:
        return f"passed on {len(probe.passed)} records for one"
    for passed in probe.passed:
        if (what := _changed(record, passed, probe)) is not None:
            return what
    if given is not state:
        return f"gave {_named(given)}, not the state of the store"
    return None


def _named(given: object) -> str:
    return "another state" if isinstance(given, State) else shown(given)


def _changed(record: Record, passed: Record, probe: _Probe) -> str | None:
    """What is wrong with a record that was passed on for this one."""
    if passed is record:
        return None
    for name in _PLACE:
        was, now = getattr(record, name), getattr(passed, name)
        if was != now:
            return f"passed on {name}={now!r} where {name}={was!r} came"
    if passed.event is not record.event and id(passed.event) in probe.came:
        return f"passed on the event of record {probe.came[id(passed.event)][0]}"
    if not _says(passed):
        return "passed on a frame that does not say its event: change both"
    return None


def _says(record: Record) -> bool:
    """Whether the frame decodes to the event, in one kind of session or another."""
    if isinstance(record.event, Malformed):
        return True
    return any(
        _plain(decode(record.frame, kind=kind)) == _plain(record.event)
        for kind in (SessionKind.REALTIME, SessionKind.TRANSLATION)
    )


def _plain(event: Any) -> bytes:
    return msgspec.json.encode(event)
