"""The checks find what they promise to find, and name it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from duologue.core import Record, Session, State, Store, reduce, select_transcripts
from duologue.core.store import Dispatch
from duologue.core.testing import (
    Fault,
    check_middleware,
    check_reducer,
    check_render,
    hostile,
    turns,
)
from duologue.core.testing import checks as module

Counts = dict[str, int]
NONE: Counts = {}


def count(counts: Counts, record: Record) -> Counts:
    """A reducer as a user writes it."""
    return {**counts, record.event.type: counts.get(record.event.type, 0) + 1}


def test_ours_passes() -> None:
    """Our reducer is total and pure, and knows an event that it had."""
    check_reducer(reduce, State(), duplicates=True, examples=30)


def test_a_pure_reducer_passes() -> None:
    """So does any other, over streams of the user's choice too."""
    check_reducer(count, NONE, examples=10)
    check_reducer(count, NONE, streams=turns(), examples=5)


def test_one_that_raises_is_found() -> None:
    """With the event, and the fewest records that lead to it."""

    def fails(seen: tuple[str, ...], record: Record) -> tuple[str, ...]:
        if record.event.type == "response.done":
            raise KeyError("what")
        return (*seen, record.event.type)

    with pytest.raises(Fault, match=r"raised KeyError\('what'\) at record \d+, resp"):
        check_reducer(fails, tuple[str, ...](), examples=50)


def test_one_that_changes_its_state_is_found() -> None:
    """At the first step, or whenever it does."""

    def always(seen: list[str], record: Record) -> list[str]:
        seen.append(record.event.type)
        return seen

    def sometimes(seen: list[str], record: Record) -> list[str]:
        if record.event.type == "response.created":
            seen.append("more")
        return [*seen]

    for reducer in (always, sometimes):
        with pytest.raises(Fault, match="changed a state that it was given"):
            check_reducer(reducer, list[str](), examples=50)


def test_a_late_change_of_an_early_state_is_found() -> None:
    """A state is looked at again when the stream is over."""
    kept: list[list[int]] = []

    def meddles(state: list[int], record: Record) -> list[int]:
        if record.event.type == "duologue.connecting":
            kept.clear()
        kept.append([len(kept)])
        if len(kept) > 6:
            kept[1].append(1)
        return kept[-1]

    with pytest.raises(Fault, match="changed a state that it was given"):
        check_reducer(meddles, list[int](), streams=turns(), examples=20)


def test_one_that_throws_dice_is_found() -> None:
    """The same records give the same state, or it is no reducer."""
    dice = itertools.count()

    def throws(state: int, record: Record) -> int:
        return next(dice)

    with pytest.raises(Fault, match="same records"):
        check_reducer(throws, 0, examples=10)


def test_one_that_takes_duplicates_for_news_is_found() -> None:
    """Only where it is asked for: to count is no fault."""
    with pytest.raises(Fault, match="for an event that it knew"):
        check_reducer(count, NONE, duplicates=True, examples=10)


def test_one_that_drops_a_session_for_a_duplicate_is_found() -> None:
    """Of a `State`, every node of every session is compared."""

    def drops(state: State, record: Record) -> State:
        again = getattr(record.event, "event_id", None) in seen
        seen.add(getattr(record.event, "event_id", "") or "")
        return State() if again else reduce(state, record)

    seen: set[str] = set()
    with pytest.raises(Fault):
        check_reducer(drops, State(), duplicates=True, examples=10)


def test_a_state_that_cannot_be_pickled_is_photographed_by_its_repr() -> None:
    """Functions in a state are compared by name."""

    def swaps(state: Callable[[], None], record: Record) -> Callable[[], None]:
        return state

    check_reducer(swaps, lambda: None, examples=5)


def test_one_of_chance_is_found_though_it_cannot_be_shown_again() -> None:
    """What fails once and never again is not the same for the same records."""
    calls = itertools.count()

    def once(seen: int, record: Record) -> int:
        if next(calls) == 40:
            raise ValueError("now and then")
        return seen

    with pytest.raises(Fault, match="does not do the same"):
        check_reducer(once, 0, examples=20)


# --- Middleware -----------------------------------------------------------------------


def test_a_middleware_that_passes_on_or_holds_back_is_fine() -> None:
    """It may keep records from the store."""

    def hold(store: Store, dispatch: Dispatch) -> Dispatch:
        def held(record: Record) -> State:
            return dispatch(record) if record.dir == "in" else store.state

        return held

    check_middleware(hold, examples=10)


def test_a_middleware_that_raises_is_found() -> None:
    """Whatever comes in."""

    def strict(store: Store, dispatch: Dispatch) -> Dispatch:
        def checked(record: Record) -> State:
            assert record.event.type != "error"
            return dispatch(record)

        return checked

    with pytest.raises(Fault, match="raised AssertionError"):
        check_middleware(strict, streams=hostile(turns()), examples=500)


def test_a_middleware_that_changes_the_state_itself_is_found() -> None:
    """What no record says is not in the state."""

    def meddle(store: Store, dispatch: Dispatch) -> Dispatch:
        def meddled(record: Record) -> State:
            dispatch(record)
            store._state = State()
            return store.state

        return meddled

    with pytest.raises(Fault, match="what no record says"):
        check_middleware(meddle, examples=10)


# --- Renders --------------------------------------------------------------------------


def test_a_render_that_takes_all_passes() -> None:
    """A selector is one."""
    check_render(select_transcripts, examples=20)


def test_a_render_that_raises_is_found() -> None:
    """On a session that it did not think of."""

    def last(session: Session) -> str:
        return select_transcripts(session)[-1].text

    with pytest.raises(Fault, match="raised IndexError"):
        check_render(last, examples=50)


def test_a_render_that_changes_its_answer_is_found() -> None:
    """The same session is shown the same."""
    numbers = itertools.count()

    with pytest.raises(Fault, match="two answers"):
        check_render(lambda session: next(numbers), examples=5)


def test_a_render_that_changes_the_session_is_found() -> None:
    """What is frozen can be forced."""

    def meddle(session: Session) -> None:
        object.__setattr__(session.tally, "events", 0)

    with pytest.raises(Fault, match="changed the session"):
        check_render(meddle, examples=5)


def test_a_fault_shows_frames_that_are_no_text() -> None:
    """Bytes stand as escapes, long ones cut."""
    record = Record.of(b"\xff" * 300, seq=1, session="s", dir="in")
    fault = Fault("what", [record])

    assert str(fault).startswith("what\n[\n  1. s in \\xff")
    assert len(str(fault)) < 1000


@pytest.mark.parametrize("value", [{"a": 1}, lambda: None, State()])
def test_a_photo_is_the_same_for_the_same(value: Any) -> None:
    """Of whatever kind a state is."""
    assert module._photo(value) == module._photo(value)
