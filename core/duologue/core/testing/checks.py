"""Checks of your own code in one line each: a reducer, a middleware, a render.

Each runs your function over many streams, legal and hostile, and raises `Fault` with
the smallest stream that shows what is wrong.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from duologue.core.record import Record
from duologue.core.reducer import fold
from duologue.core.snapshot import dump
from duologue.core.state import Session, State
from duologue.core.store import Middleware, Store

from .hostility import hostile
from .strategies import records
from .stream import Stream

__all__ = ["Fault", "check_middleware", "check_reducer", "check_render"]

_S = TypeVar("_S")
_Streams = st.SearchStrategy[Stream]
#: Between two states of which it is checked that they stay as they are.
_STRIDE = 8
#: Streams so short that every state is checked.
_SHORT = 32


class Fault(AssertionError):
    """What a check found: what is wrong, and the records that show it.

    >>> raise Fault("it raised", [])
    Traceback (most recent call last):
        ...
    duologue.core.testing.checks.Fault: it raised
    """

    def __init__(self, what: str, stream: Sequence[Record]) -> None:
        self.stream = Stream(stream)
        super().__init__(f"{what}\n{self.stream!r}" if stream else what)


def check_reducer(
    reducer: Callable[[_S, Record], _S],
    initial: _S,
    *,
    streams: _Streams | None = None,
    examples: int = 100,
    duplicates: bool = False,
) -> None:
    """Raise `Fault` unless ``reducer`` is total and pure.

    It must not raise, must not change a state that it was given, and must give equal
    states for equal records. With ``duplicates`` an event that comes a second time
    must give back the same object; of a `State`, whose tally counts it, every node
    but the tally.

    >>> from duologue.core import State, reduce
    >>> check_reducer(reduce, State(), duplicates=True, examples=10)
    >>> def count(state, record):
    ...     state[record.event.type] = state.get(record.event.type, 0) + 1
    ...     return state
    >>> check_reducer(count, {}, examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.checks.Fault: changed a state that it was given
    ...
    """

    def check(stream: Stream) -> None:
        states = _run(reducer, initial, stream)
        again = _run(reducer, initial, stream)
        if not _equal(states[-1], again[-1]):
            raise Fault("gave two states for the same records", stream)
        if duplicates:
            _check_duplicates(reducer, states, stream)

    _check_all(check, streams, examples)


def _run(reducer: Callable[[_S, Record], _S], initial: _S, stream: Stream) -> list[_S]:
    """The states from the first on; raises where one raises or is changed."""
    stride = 1 if len(stream) <= _SHORT else _STRIDE
    states, photos = [initial], {0: _photo(initial)}
    for number, record in enumerate(stream, start=1):
        try:
            states.append(reducer(states[-1], record))
        except Exception as error:
            what = f"raised {error!r} at record {number}, {record.event.type}"
            raise Fault(what, Stream(stream[:number])) from error
        last = (number - 1) // stride * stride
        if number % stride == 0:
            photos[number] = _photo(states[number])
            _check_photo(states[last], photos[last], Stream(stream[:number]))
    for at, photo in photos.items():
        _check_photo(states[at], photo, stream)
    return states


def _check_photo(state: object, photo: bytes, stream: Stream) -> None:
    if photo != _photo(state):
        raise Fault("changed a state that it was given", stream)


def _photo(state: object) -> bytes:
    """What a state is now, in bytes that later can be compared."""
    if isinstance(state, State):
        return dump(state)
    try:
        return pickle.dumps(state)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return repr(state).encode(errors="surrogatepass")


def _equal(one: object, other: object) -> bool:
    return one == other or _photo(one) == _photo(other)


def _check_duplicates(
    reducer: Callable[[_S, Record], _S], states: list[_S], stream: Stream
) -> None:
    for number, record in enumerate(stream, start=1):
        if record.dir == "in" and getattr(record.event, "event_id", None):
            before = states[number]
            if not _same(before, reducer(before, record)):
                what = f"changed its state for an event that it knew, {number}"
                raise Fault(what, Stream(stream[:number]))


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, State) or not isinstance(after, State):
        return before is after
    names = [name for name in attrs.fields_dict(Session) if name != "tally"]
    return len(before.sessions) == len(after.sessions) and all(
        getattr(before.sessions[key], name) is getattr(session, name)
        for key, session in after.sessions.items()
        for name in names
    )


def check_middleware(
    middleware: Middleware, *, streams: _Streams | None = None, examples: int = 100
) -> None:
    """Raise `Fault` unless a store with this middleware still does its work.

    Whatever comes, it must not raise, and what it lets through must fold to the state
    that the store holds: nothing behind the back of the record.

    >>> def mute(store, dispatch):
    ...     def muted(record):
    ...         if record.event.type == "ping":
    ...             return store.state
    ...         return dispatch(record)
    ...     return muted
    >>> check_middleware(mute, examples=10)
    """

    def check(stream: Stream) -> None:
        store = Store(middleware=(middleware,))
        told: list[Record] = []
        store.subscribe(lambda before, record, after: told.append(record))
        for number, record in enumerate(stream, start=1):
            try:
                store.dispatch(record)
            except Exception as error:
                what = f"raised {error!r} at record {number}, {record.event.type}"
                raise Fault(what, Stream(stream[:number])) from error
        if store.state != fold(told):
            raise Fault("the store holds what no record says", stream)

    _check_all(check, streams, examples)


def check_render(
    render: Callable[[Session], object],
    *,
    streams: _Streams | None = None,
    examples: int = 100,
) -> None:
    """Raise `Fault` unless ``render`` takes whatever a session can be.

    For all that you make of a session: a page, a line, a selector. It must not raise,
    must leave the session as it is, and must give the same for the same session.

    >>> from duologue.core import select_transcripts
    >>> check_render(select_transcripts, examples=10)
    >>> check_render(lambda session: session.responses.by_id["resp_1"], examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.checks.Fault: raised KeyError('resp_1') for session s1
    ...
    """

    def check(stream: Stream) -> None:
        state = fold(stream)
        photo = dump(state)
        for session in state.sessions.values():
            try:
                one, other = render(session), render(session)
            except Exception as error:
                what = f"raised {error!r} for session {session.id}"
                raise Fault(what, stream) from error
            if not _equal(one, other):
                what = f"gave two answers for session {session.id}"
                raise Fault(what, stream)
        if photo != dump(state):
            raise Fault("changed the session", stream)

    _check_all(check, streams, examples)


def _check_all(
    check: Callable[[Stream], None], streams: _Streams | None, examples: int
) -> None:
    """Run a check over streams, and raise what it finds, made as small as can be."""
    if streams is None:
        legal = records(turns=2, sessions=2)
        streams = legal | hostile(legal)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        # Without the explanation, which runs it all again under a tracer.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(streams)
    def run(stream: Stream) -> None:
        check(stream)

    try:
        run()
    except Flaky as error:
        raise Fault("does not do the same for the same records", []) from error
    except Fault as fault:
        # What Hypothesis adds is the stream once more, and longer.
        fault.__notes__ = []
        raise
