"""Checks of your own code in one line each: a reducer, what you make of a session.

Each runs your function over many streams, legal and hostile, and raises `Fault` with
the smallest stream that shows what is wrong. That of a middleware is in `middleware`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from duologue.core.record import Record
from duologue.core.reducer import fold
from duologue.core.snapshot import dump
from duologue.core.state import Session, State

from .fault import Fault, Photo, compared, name_of, place, raised
from .searching import Streams, search
from .stream import Stream

__all__ = ["check_reducer", "check_render"]

_S = TypeVar("_S")
_Reducer = Callable[[_S, Record], _S]
#: Between two states of which it is checked that they stay as they are.
_STRIDE = 8
#: Streams so short that every state is checked.
_SHORT = 32


def check_reducer(
    reducer: Callable[[_S, Record], _S],
    initial: _S,
    *,
    streams: Streams | None = None,
    examples: int = 100,
    duplicates: bool = False,
) -> None:
    """Raise `Fault` unless ``reducer`` is total and pure.

    It must not raise, must not change a state that it was given, and must give equal
    states for equal records: each step is run twice. None where the first state was
    something is taken for a forgotten ``return``. With ``duplicates`` an event that
    comes a second time must give back the same object; of a `State`, whose tally
    counts it, every node but the tally.

    ``examples`` streams are tried: our own, or those of ``streams``. What reads
    something global is found only if that changes meanwhile.

    >>> from duologue.core import State, reduce
    >>> check_reducer(reduce, State(), duplicates=True, examples=10)
    >>> def count(state, record):
    ...     state[record.event.type] = state.get(record.event.type, 0) + 1
    ...     return state
    >>> check_reducer(count, {}, examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.fault.Fault: count changed a state that it was given, at
    record 1 (duologue.connecting)
      before: {}
      after: {'duologue.connecting': 1}
    ...
    """

    def check(stream: Stream) -> None:
        states = _run(reducer, initial, stream)
        _check_again(reducer, states, stream)
        if duplicates:
            _check_duplicates(reducer, states, stream)

    search(check, streams, examples)


def _run(reducer: _Reducer[_S], initial: _S, stream: Stream) -> list[_S]:
    """The states from the first on; raises where one raises or is changed."""
    stride = 1 if len(stream) <= _SHORT else _STRIDE
    states, photos = [initial], {0: Photo(initial)}
    for number, record in enumerate(stream, start=1):
        try:
            states.append(reducer(states[-1], record))
        except Exception as error:
            what = raised(reducer, error, place(number, record))
            raise Fault(what, stream[:number]) from error
        if states[-1] is None and initial is not None:
            what = f"{name_of(reducer)} gave None {place(number, record)}"
            raise Fault(f"{what}: is a return missing?", stream[:number])
        last = (number - 1) // stride * stride
        if number % stride == 0:
            photos[number] = Photo(states[number])
            _check_photo(reducer, states[last], photos[last], stream, number)
    for at, photo in photos.items():
        _check_photo(reducer, states[at], photo, stream, len(stream))
    return states


def _check_photo(
    reducer: object, state: object, photo: Photo, stream: Stream, number: int
) -> None:
    now = Photo(state)
    if photo != now:
        where = place(number, stream[number - 1])
        what = f"{name_of(reducer)} changed a state that it was given, {where}"
        values = compared(("before", "after"), photo, now)
        raise Fault(f"{what}\n{values}", stream[:number])


def _equal(one: object, other: object) -> bool:
    return one is other or one == other or Photo(one) == Photo(other)


def _check_again(reducer: _Reducer[_S], states: list[_S], stream: Stream) -> None:
    """Each step once more, from the state from which it was made."""
    for number, record in enumerate(stream, start=1):
        where = place(number, record)
        try:
            again = reducer(states[number - 1], record)
        except Exception as error:
            what = f"{raised(reducer, error, where)}, the second time"
            raise Fault(what, stream[:number]) from error
        if not _equal(states[number], again):
            what = f"{name_of(reducer)} gave two states for the same records, {where}"
            values = compared(("first", "then"), states[number], again)
            raise Fault(f"{what}\n{values}", stream[:number])


def _check_duplicates(reducer: _Reducer[_S], states: list[_S], stream: Stream) -> None:
    for number, record in enumerate(stream, start=1):
        if record.dir == "in" and getattr(record.event, "event_id", None):
            before = states[number]
            after = reducer(before, record)
            if not _same(before, after):
                what = (
                    f"{name_of(reducer)} changed its state for an event that it knew, "
                    f"when that of record {number} ({record.event.type}) came again"
                )
                values = compared(("before", "after"), before, after)
                raise Fault(f"{what}\n{values}", stream[:number])


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, State) or not isinstance(after, State):
        return before is after
    names = [name for name in Session.__struct_fields__ if name != "tally"]
    return len(before.sessions) == len(after.sessions) and all(
        getattr(before.sessions[key], name) is getattr(session, name)
        for key, session in after.sessions.items()
        for name in names
    )


def check_render(
    render: Callable[[Session], object],
    *,
    streams: Streams | None = None,
    examples: int = 100,
) -> None:
    """Raise `Fault` unless ``render`` takes whatever a session can be.

    For all that you make of a session: a page, a line, a selector. It must not raise,
    must leave the session as it is, and must give the same for the same session. What
    it gives is not judged: a function that always gives None passes.

    >>> from duologue.core import select_transcripts
    >>> check_render(select_transcripts, examples=10)
    >>> check_render(lambda session: session.responses.by_id["resp_1"], examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.fault.Fault: <lambda> raised KeyError('resp_1') for session s1
    ...
    """

    def check(stream: Stream) -> None:
        state = fold(stream)
        photo = dump(state)
        for session in state.sessions.values():
            where = f"for session {session.id}"
            try:
                one, other = render(session), render(session)
            except Exception as error:
                raise Fault(raised(render, error, where), stream) from error
            if not _equal(one, other):
                what = f"{name_of(render)} gave two answers {where}"
                values = compared(("first", "then"), one, other)
                raise Fault(f"{what}\n{values}", stream)
            if photo != (now := dump(state)):
                values = compared(("before", "after"), photo, now)
                what = f"{name_of(render)} changed the session {session.id}"
                raise Fault(f"{what}\n{values}", stream)

    search(check, streams, examples)
