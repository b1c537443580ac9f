"""Checks of your own code in one line each: a reducer, what you make of a session.

Each runs your function over many streams, legal and hostile, and raises `Fault` with
the smallest stream that shows what is wrong. That of a middleware is in `middleware`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from immutables import Map

from duologue.core.log.record import Record
from duologue.core.log.snapshot import dump
from duologue.core.reducer.dispatch import fold, reduce
from duologue.core.state.model import Session, State

from .counterexample import search
from .failure_report import Fault, Photo, compared, name_of, place, raised, shown
from .stream import Stream
from .stream_sources import Streams

__all__ = ["check_reducer", "check_render"]

_S = TypeVar("_S")
_Reducer = Callable[[_S, Record], _S]
_Render = Callable[[Session], object]
#: Records between two states of which it is checked that they stay as they are, and
#: how many such states a long stream has at most.
_STRIDE = 8
_LOOKS = 40
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
    comes a second time must give back the same object, not only an equal one; of a
    `State`, whose `dedup` counts it, every node but `dedup`.

    Without ``streams`` a few streams that are always the same come first, with all
    that can happen in a turn, without times, without what need not be there; then
    ``examples`` that are drawn. ``streams`` is a strategy or one recorded stream. What
    reads something global is found only if that changes meanwhile. Raises TypeError
    for ``streams`` that are neither.

    >>> from duologue.core import State, reduce
    >>> check_reducer(reduce, State(), duplicates=True, examples=10)
    >>> def count(state, record):
    ...     state[record.event.type] = state.get(record.event.type, 0) + 1
    ...     return state
    >>> check_reducer(count, {}, examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.Fault: count changed a state that it was given, at
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
    stride = _stride(stream)
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


def _stride(stream: Stream) -> int:
    """How many records lie between two states that are looked at."""
    return 1 if len(stream) <= _SHORT else max(_STRIDE, len(stream) // _LOOKS)


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
            _check_closely(reducer, states[0], stream)
            what = f"{name_of(reducer)} gave two states for the same records, {where}"
            values = compared(("first", "then"), states[number], again)
            raise Fault(f"{what}\n{values}", stream[:number])


def _check_closely(reducer: _Reducer[_S], state: _S, stream: Stream) -> None:
    """Each state, before and after it is given away.

    Of two states for the same records one was mostly changed, maybe by a record that
    comes later.
    """
    for number, record in enumerate(stream, start=1):
        photo, given = Photo(state), state
        try:
            state = reducer(state, record)
        except Exception:
            return
        _check_photo(reducer, given, photo, stream, number)


def _check_duplicates(reducer: _Reducer[_S], states: list[_S], stream: Stream) -> None:
    for number, record in enumerate(stream, start=1):
        if record.dir == "in" and getattr(record.event, "event_id", None):
            before = states[number]
            after = reducer(before, record)
            if not _same(before, after):
                when = f"when that of record {number} ({record.event.type}) came again"
                what = f"{name_of(reducer)} {_news(before, after, when)}"
                raise Fault(what, stream[:number])


def _news(before: object, after: object, when: str) -> str:
    """What is wrong with two states of which the second should be the first."""
    if _equal(before, after):
        return (
            "gave an equal state, but not the same object, for an event that it knew, "
            f"{when}: return the state that was given\n  state: {shown(before)}"
        )
    values = compared(("before", "after"), before, after)
    return f"changed its state for an event that it knew, {when}\n{values}"


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, State) or not isinstance(after, State):
        return before is after
    names = [name for name in Session.__struct_fields__ if name != "dedup"]
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

    For all that you make of a session: a page, a line, a selector. It is called after
    every record, with the session that the record changed. It must not raise, must
    leave the session as it is, and must give the same for the same session; of a long
    stream the last two are looked at now and then. What it gives is not judged: a
    function that always gives None passes.

    ``streams`` and ``examples`` are those of `check_reducer`. Raises TypeError for
    ``streams`` that are neither a strategy nor a sequence of records.

    >>> from duologue.core import select_transcripts
    >>> check_render(select_transcripts, examples=10)
    >>> check_render(lambda session: session.responses.by_id["resp_1"], examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.Fault: <lambda> raised KeyError('resp_1')
    for session s1, after record 1 (duologue.connecting)
    ...
    """

    search(lambda stream: _render_all(render, stream), streams, examples)


def _render_all(render: _Render, stream: Stream) -> None:
    """Render each state on the way."""
    stride, state = _stride(stream), State()
    for number, record in enumerate(stream, start=1):
        before, state = state, reduce(state, record)
        session = state.sessions.get(record.session)
        if session is None or session is before.sessions.get(record.session):
            continue
        where = f"for session {session.id}, {place(number, record, 'after')}"
        closely = number % stride == 0 or number == len(stream)
        look = _look_closely if closely else _look
        look(render, session, where, stream[:number])
    # What was changed early and is shared by the states that follow.
    was, now = (_bytes(*state.sessions.values()) for state in (fold(stream), state))
    _check_kept(render, was, now, "found at the end", stream)


def _look(render: _Render, session: Session, where: str, seen: list[Record]) -> object:
    try:
        return render(session)
    except Exception as error:
        raise Fault(raised(render, error, where), seen) from error


def _look_closely(
    render: _Render, session: Session, where: str, seen: list[Record]
) -> None:
    was = _bytes(session)
    one, other = (_look(render, session, where, seen) for _ in range(2))
    if not _equal(one, other):
        what = f"{name_of(render)} gave two answers {where}"
        values = compared(("first", "then"), one, other)
        raise Fault(f"{what}\n{values}", seen)
    _check_kept(render, was, _bytes(session), where, seen)


def _bytes(*sessions: Session) -> bytes:
    return dump(State(Map({session.id: session for session in sessions})))


def _check_kept(
    render: _Render, was: bytes, now: bytes, where: str, seen: list[Record]
) -> None:
    if was != now:
        values = compared(("before", "after"), was.decode(), now.decode())
        what = f"{name_of(render)} changed the session that it was given, {where}"
        raise Fault(f"{what}\n{values}", seen)
