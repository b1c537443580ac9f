"""Checks of your own reducer, and of your own functions that take a session.

Each check runs your function over many streams, legal and hostile, and raises `Fault`
with the smallest stream on which it fails. See `check_middleware` for a middleware.
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
from .failure_report import Fault, Photo, compared, name_of, place, raised
from .stream import Stream, Streams, shown

__all__ = ["check_reducer", "check_render"]

_S = TypeVar("_S")
_Reducer = Callable[[_S, Record], _S]
_Render = Callable[[Session], object]
#: In a long stream, only about `_SAMPLES` states are checked for a change in place.
#: They are at least `_STRIDE` records apart.
_STRIDE = 8
_SAMPLES = 40
#: Up to this length of a stream, every state is checked.
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

    It must not raise and must not change its argument. Each step runs twice, and must
    return equal states. None counts as a missing ``return``, unless ``initial`` is
    None. With ``duplicates``, the reducer must return its argument itself, not an equal
    object, for a repeated event. (In a `State`, `dedup` may change, because it counts
    the duplicate.)

    ``streams`` is a strategy or one recorded stream. Without it, the check runs over a
    few fixed streams, then over ``examples`` random streams. The fixed streams are one
    with every event of a turn, and copies of it without times, without some events, or
    with unexpected ones. If the reducer reads a global variable, the check fails only
    if the variable changes. Raises TypeError for other ``streams``.

    >>> from duologue.core import State, reduce
    >>> check_reducer(reduce, State(), duplicates=True, examples=10)
    >>> def count(state, record):
    ...     state[record.event.type] = state.get(record.event.type, 0) + 1
    ...     return state
    >>> check_reducer(count, {}, examples=10)
    Traceback (most recent call last):
        ...
    duologue.core.testing.Fault: count changed its argument at
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
    """All states. Raises `Fault` if the reducer raises or changes its argument."""
    stride = _stride(stream)
    states, photos = [initial], {0: Photo(initial)}
    for number, record in enumerate(stream, start=1):
        try:
            states.append(reducer(states[-1], record))
        except Exception as error:
            what = raised(reducer, error, place(number, record))
            raise Fault(what, stream[:number]) from error
        if states[-1] is None and initial is not None:
            what = f"{name_of(reducer)} returned None {place(number, record)}"
            raise Fault(f"{what}: is a return missing?", stream[:number])
        last = (number - 1) // stride * stride
        if number % stride == 0:
            photos[number] = Photo(states[number])
            _check_photo(reducer, states[last], photos[last], stream, number)
    for at, photo in photos.items():
        _check_photo(reducer, states[at], photo, stream, len(stream))
    return states


def _stride(stream: Stream) -> int:
    """The number of records between two states that are checked."""
    return 1 if len(stream) <= _SHORT else max(_STRIDE, len(stream) // _SAMPLES)


def _check_photo(
    reducer: object, state: object, photo: Photo, stream: Stream, number: int
) -> None:
    now = Photo(state)
    if photo != now:
        where = place(number, stream[number - 1])
        what = f"{name_of(reducer)} changed its argument {where}"
        values = compared(("before", "after"), photo, now)
        raise Fault(f"{what}\n{values}", stream[:number])


def _equal(one: object, other: object) -> bool:
    return one is other or one == other or Photo(one) == Photo(other)


def _check_again(reducer: _Reducer[_S], states: list[_S], stream: Stream) -> None:
    """Run each step again from the same state."""
    for number, record in enumerate(stream, start=1):
        where = place(number, record)
        try:
            again = reducer(states[number - 1], record)
        except Exception as error:
            what = f"{raised(reducer, error, where)}, the second time"
            raise Fault(what, stream[:number]) from error
        if not _equal(states[number], again):
            _check_each_step(reducer, states[0], stream)
            what = (
                f"{name_of(reducer)} returned two states for the same records {where}"
            )
            values = compared(("first", "second"), states[number], again)
            raise Fault(f"{what}\n{values}", stream[:number])


def _check_each_step(reducer: _Reducer[_S], state: _S, stream: Stream) -> None:
    """Raise `Fault` at the first step that changes its argument.

    If a reducer returns two states for the same records, the usual reason is that a
    step has changed a state in place.
    """
    for number, record in enumerate(stream, start=1):
        photo, argument = Photo(state), state
        try:
            state = reducer(state, record)
        except Exception:
            return
        _check_photo(reducer, argument, photo, stream, number)


def _check_duplicates(reducer: _Reducer[_S], states: list[_S], stream: Stream) -> None:
    for number, record in enumerate(stream, start=1):
        if record.dir == "in" and getattr(record.event, "event_id", None):
            before = states[number]
            after = reducer(before, record)
            if not _is_unchanged(before, after):
                when = f"when record {number} ({record.event.type}) was repeated"
                what = f"{name_of(reducer)} {_difference(before, after, when)}"
                raise Fault(what, stream[:number])


def _difference(before: object, after: object, when: str) -> str:
    """How the state after a duplicate differs from the state before it."""
    if _equal(before, after):
        return (
            "returned an equal state, but not the same object, for a duplicate event, "
            f"{when}: return the argument\n  state: {shown(before)}"
        )
    values = compared(("before", "after"), before, after)
    return f"returned another state for a duplicate event, {when}\n{values}"


def _is_unchanged(before: Any, after: Any) -> bool:
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
    """Raise `Fault` unless ``render`` works for every session.

    ``render`` is any function that takes a session, such as one that makes a page, or a
    selector. It is called after every record with the session that the record changed.
    It must not raise, must not change the session, and must return equal values for the
    same session. In a long stream, it is called twice for some sessions only, to
    compare the values. A function that always returns None passes.

    ``streams`` and ``examples`` are as in `check_reducer`. Raises TypeError if
    ``streams`` is neither a strategy nor a sequence of records.

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
    """Render the session after each record."""
    stride, state = _stride(stream), State()
    for number, record in enumerate(stream, start=1):
        before, state = state, reduce(state, record)
        session = state.sessions.get(record.session)
        if session is None or session is before.sessions.get(record.session):
            continue
        where = f"for session {session.id}, {place(number, record, 'after')}"
        is_sample = number % stride == 0 or number == len(stream)
        call = _call_twice if is_sample else _call
        call(render, session, where, stream[:number])
    # A change between two samples is still in the last state: states share nodes.
    was, now = (_bytes(*state.sessions.values()) for state in (fold(stream), state))
    _check_unchanged(render, was, now, "detected at the end of the stream", stream)


def _call(render: _Render, session: Session, where: str, seen: list[Record]) -> object:
    try:
        return render(session)
    except Exception as error:
        raise Fault(raised(render, error, where), seen) from error


def _call_twice(
    render: _Render, session: Session, where: str, seen: list[Record]
) -> None:
    was = _bytes(session)
    one, other = (_call(render, session, where, seen) for _ in range(2))
    if not _equal(one, other):
        what = f"{name_of(render)} returned two values {where}"
        values = compared(("first", "second"), one, other)
        raise Fault(f"{what}\n{values}", seen)
    _check_unchanged(render, was, _bytes(session), where, seen)


def _bytes(*sessions: Session) -> bytes:
    return dump(State(Map({session.id: session for session in sessions})))


def _check_unchanged(
    render: _Render, was: bytes, now: bytes, where: str, seen: list[Record]
) -> None:
    if was != now:
        values = compared(("before", "after"), was.decode(), now.decode())
        what = f"{name_of(render)} changed its argument, {where}"
        raise Fault(f"{what}\n{values}", seen)
