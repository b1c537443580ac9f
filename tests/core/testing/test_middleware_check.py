"""`check_middleware` finds the faults in its documentation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from duologue.core import Record, State, Store, encode, events
from duologue.core.store import Dispatch
from duologue.core.testing import Fault, check_middleware, hostile, records, turns

replace = msgspec.structs.replace


def dropping(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that drops every record that was not received."""

    def go(record: Record) -> State:
        return dispatch(record) if record.dir == "in" else store.state

    return go


def hushed(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that removes the text of deltas, in event and frame."""

    def go(record: Record) -> State:
        if isinstance(record.event, events.ResponseOutputTextDelta):
            event = replace(record.event, delta="…")
            record = replace(record, event=event, frame=encode(event), src="hushed")
        return dispatch(record)

    return go


def tagged(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that sets ``src`` of every record."""

    def go(record: Record) -> State:
        return dispatch(replace(record, src="browser"))

    return go


@pytest.mark.parametrize("middleware", [dropping, hushed, tagged])
def test_dropping_and_changing_is_allowed(middleware: Any) -> None:
    """Records may be dropped and changed, in every stream."""
    legal = records(turns=2, translation=True)
    check_middleware(middleware, streams=legal | hostile(legal), examples=30)


def strict(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        assert record.event.type != "response.done"
        return dispatch(record)

    return go


def meddling(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        dispatch(record)
        store._state = State()
        return store.state

    return go


def meddling_before(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        store._state = State()
        return dispatch(record)

    return go


def forgetful(store: Store, dispatch: Dispatch) -> Any:
    def go(record: Record) -> None:
        dispatch(record)

    return go


def stale(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        before = store.state
        dispatch(record)
        return before

    return go


def number(store: Store, dispatch: Dispatch) -> Any:
    def go(record: Record) -> int:
        dispatch(record)
        return 7

    return go


def doubling(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        dispatch(record)
        return dispatch(record)

    return go


def late(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that passes on the previous record."""
    waiting: list[Record] = []

    def go(record: Record) -> State:
        waiting.append(record)
        return dispatch(waiting.pop(0)) if len(waiting) > 1 else store.state

    return go


def mixing(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that gives a record the event of the previous one."""
    last: list[Record] = []

    def go(record: Record) -> State:
        other = last.pop() if last else record
        last.append(record)
        return dispatch(replace(record, event=other.event, frame=other.frame))

    return go


def renaming(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        return dispatch(replace(record, session="other"))

    return go


def renumbering(store: Store, dispatch: Dispatch) -> Dispatch:
    def go(record: Record) -> State:
        return dispatch(replace(record, epoch=record.epoch + 1))

    return go


def lying(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that changes the event but not the frame, which is logged."""

    def go(record: Record) -> State:
        if isinstance(record.event, events.ResponseCreated):
            record = replace(record, event=events.Tick())
        return dispatch(record)

    return go


@pytest.mark.parametrize(
    ("middleware", "what"),
    [
        (strict, r"strict raised AssertionError.* at record \d+ \(response.done\)"),
        (meddling, "meddling changed the state of the store without .*, at record 1"),
        (meddling_before, "meddling_before changed the state of the store without a"),
        (forgetful, "forgetful returned None, not the state .*: is a return missing"),
        (stale, "stale returned another state, not the state .*, at record 1"),
        (number, "number returned 7, not the state of the store"),
        (doubling, "doubling passed on 2 records in place of one, at record 1"),
        (late, "late changed seq from 2 to 1, at record 2"),
        (mixing, "mixing passed on the event of record 1, at record 2"),
        (renaming, "renaming changed session from 's1' to 'other'"),
        (renumbering, "renumbering changed epoch from 0 to 1"),
        (lying, "lying passed on a frame that does not match its event"),
    ],
)
def test_faults_are_found(middleware: Any, what: str) -> None:
    """The message names the function and the record."""
    with pytest.raises(Fault, match=f"^{what}") as found:
        check_middleware(middleware, examples=50)
    assert 1 <= len(found.value.stream) <= 2


def function_of_a_record(record: Record) -> State:
    raise NotImplementedError


def no_factory(store: Store, dispatch: Dispatch) -> Any:
    return store.state


@pytest.mark.parametrize("middleware", [function_of_a_record, no_factory])
def test_a_function_that_is_not_a_middleware(middleware: Any) -> None:
    """A function of a record is not a middleware."""
    with pytest.raises(Fault, match="a middleware is called once, with the store and"):
        check_middleware(middleware, streams=turns(), examples=5)
