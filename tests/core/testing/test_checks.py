"""The checks find what they promise to find, and name it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from duologue.core import Record, Session, State, reduce, select_transcripts
from duologue.core.testing import (
    Fault,
    check_reducer,
    check_render,
    turns,
)

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

    with pytest.raises(Fault, match=r"^fails raised KeyError\('what'\) at record 1 \("):
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
    with pytest.raises(Fault, match="for an event that it knew") as found:
        check_reducer(count, NONE, duplicates=True, examples=10)
    assert len(found.value.stream) == 1
    kind = found.value.stream[0].event.type
    assert f"  before: {{'{kind}': 1}}\n  after: {{'{kind}': 2}}\n" in str(found.value)


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


def test_one_that_reads_what_changes_elsewhere_is_found() -> None:
    """In a step whose result a later one hides, too: every step is run twice."""
    known: set[str] = set()

    def remembers(last: str, record: Record) -> str:
        event_id = getattr(record.event, "event_id", None) or ""
        news = event_id not in known
        known.add(event_id)
        return record.event.type if news else last

    with pytest.raises(Fault, match=r"remembers (gave two states|does not|changed)"):
        check_reducer(remembers, "", streams=turns(), examples=20)


def test_two_answers_are_shown_with_their_place() -> None:
    """Where they begin to differ, with the number of the list beneath."""
    runs = itertools.count()

    def grows(state: str, record: Record) -> str:
        return "x" * 300 + str(next(runs))

    with pytest.raises(Fault, match="gave two states") as found:
        check_reducer(grows, "", streams=turns(), examples=1)
    assert "at record 1 (duologue.connecting)" in str(found.value)
    assert "  first: …xxx" in str(found.value)
    assert "  then: …xxx" in str(found.value)


def test_one_that_raises_the_second_time_is_found() -> None:
    """As one that is not the same each time."""
    seen: set[int] = set()

    def once(state: int, record: Record) -> int:
        if (again := id(record)) in seen:
            raise ValueError("again")
        seen.add(again)
        return state

    with pytest.raises(Fault, match=r"raised ValueError\('again'\).*, the second time"):
        check_reducer(once, 0, streams=turns(), examples=1)


def test_a_forgotten_return_is_found() -> None:
    """None is no state, unless it was one at the beginning."""

    def forgets(state: int | None, record: Record) -> int | None:
        return None

    start: int | None = 0
    with pytest.raises(
        Fault, match=r"^forgets gave None at record 1 .*a return missing"
    ):
        check_reducer(forgets, start, examples=5)
    check_reducer(forgets, None, examples=5)


def test_one_of_chance_is_found_though_it_cannot_be_shown_again() -> None:
    """What fails once and never again is not the same for the same records."""
    calls = itertools.count()

    def once(seen: int, record: Record) -> int:
        if next(calls) == 40:
            raise ValueError("now and then")
        return seen

    with pytest.raises(Fault, match="does not do the same"):
        check_reducer(once, 0, examples=20)


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

    answers = r"(?s)<lambda> gave two answers for session s1\n  first: \d+\n  then: \d+"
    with pytest.raises(Fault, match=answers):
        check_render(lambda session: next(numbers), examples=5)


def test_a_render_that_changes_the_session_is_found() -> None:
    """What is frozen can be forced."""

    def meddle(session: Session) -> None:
        type(session.tally).__dict__["events"].__set__(session.tally, 0)

    with pytest.raises(Fault, match="changed the session"):
        check_render(meddle, examples=5)
