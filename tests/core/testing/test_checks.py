"""The checks find what they promise to find, and name it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from duologue.core import (
    Record,
    Session,
    State,
    reduce,
    select_items,
    select_transcripts,
)
from duologue.core.testing import (
    Fault,
    Turn,
    check_middleware,
    check_reducer,
    check_render,
    script,
    to_records,
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

    answers = (
        r"(?s)<lambda> gave two answers for session s1, after record 1 \(.*\)\n"
        r"  first: \d+\n  then: \d+"
    )
    with pytest.raises(Fault, match=answers):
        check_render(lambda session: next(numbers), examples=5)


def test_a_render_that_changes_the_session_is_found() -> None:
    """What is frozen can be forced."""

    def meddle(session: Session) -> None:
        type(session.dedup).__dict__["events"].__set__(session.dedup, 0)

    with pytest.raises(Fault, match="changed the session"):
        check_render(meddle, examples=5)


def test_a_render_that_changes_an_early_session_is_found() -> None:
    """At the end of a stream, though no state was looked at in that moment."""
    legal = to_records(script([Turn(("a",), ("b",))] * 3).frames)

    def meddle(session: Session) -> None:
        if len(session.items) == 1:
            for item in session.items.values():
                type(item).__dict__["role"].__set__(item, "nobody")

    with pytest.raises(Fault, match="meddle changed the session that it was given"):
        check_render(meddle, streams=legal)


def test_what_is_forgotten_is_not_rendered() -> None:
    """A session that is gone is nobody's to show."""
    frames = [{"type": "duologue.connecting"}, {"type": "duologue.forgotten"}]
    shown: list[str] = []

    check_render(lambda session: shown.append(session.id), streams=to_records(frames))

    assert set(shown) == {"s"}


def test_states_that_differ_from_run_to_run_and_then_raise() -> None:
    """The search for the change that made them differ ends where it raises."""
    calls = itertools.count(1)

    def odd(total: int, record: Record) -> int:
        if (number := next(calls)) == 3:
            raise KeyError("third")
        return number

    with pytest.raises(Fault, match="odd gave two states for the same records"):
        check_reducer(odd, 0, streams=to_records([{"type": "x"}]), examples=1)


def length_of_answers(session: Session) -> object:
    """Takes for granted that what was begun is over."""
    lines: Any = select_transcripts(session)
    return [line.finished_at - line.started_at for line in lines]


def first_words(session: Session) -> object:
    """Takes for granted that a message has a part."""
    items = select_items(session)
    return [item.parts[0].text for item in items if item.type == "message"]


@pytest.mark.parametrize("render", [length_of_answers, first_words])
def test_a_render_meets_what_is_only_begun(
    render: Callable[[Session], object],
) -> None:
    """It is called after every record, not only at the end of a stream."""
    with pytest.raises(Fault, match=r"for session s1, after record 1 \(") as found:
        check_render(render)
    assert len(found.value.stream) == 1


def test_a_render_is_called_for_the_session_that_changed() -> None:
    """Once for each record, and once more where it is looked at closely."""
    seen: list[Session] = []
    legal = to_records(script([Turn(("a",), ("b",))] * 2).frames)
    check_render(seen.append, streams=legal)

    distinct = {id(session): session for session in seen}
    assert len(distinct) == len(legal) > 32
    assert len(seen) < 1.5 * len(legal)


def test_an_equal_state_is_not_the_same_object() -> None:
    """For a duplicate the state itself is wanted, and the message says so."""

    def copies(seen: frozenset[str], record: Record) -> frozenset[str]:
        return frozenset({*seen, getattr(record.event, "event_id", None) or ""})

    def keeps(seen: frozenset[str], record: Record) -> frozenset[str]:
        after = copies(seen, record)
        return seen if after == seen else after

    what = r"^copies gave an equal state, but not the same object, for an event"
    with pytest.raises(Fault, match=what) as found:
        check_reducer(copies, frozenset[str](), duplicates=True)
    assert "  state: frozenset({" in str(found.value)
    assert "before:" not in str(found.value)
    check_reducer(keeps, frozenset[str](), duplicates=True, examples=20)


# --- Streams of one's own -------------------------------------------------------------


def test_a_recorded_stream_is_taken_as_it_is() -> None:
    """A list of records does for a strategy, in every check."""
    legal = list(to_records(script([Turn(("a",), ("b",))]).frames))
    seen: list[Record] = []

    def follow(number: int, record: Record) -> int:
        seen.append(record)
        return number + 1

    check_reducer(follow, 0, streams=legal)
    check_render(select_transcripts, streams=legal)
    check_middleware(lambda store, dispatch: dispatch, streams=iter(legal))
    assert seen == legal * 2


@pytest.mark.parametrize("streams", [3, "x", [3], st.text(min_size=1)])
def test_what_is_no_stream_is_told_in_a_line(streams: Any) -> None:
    """By every check, before or when it is used."""
    checks: list[Callable[[], None]] = [
        lambda: check_reducer(count, NONE, streams=streams),
        lambda: check_render(select_transcripts, streams=streams),
        lambda: check_middleware(lambda store, dispatch: dispatch, streams=streams),
    ]
    for check in checks:
        with pytest.raises(TypeError, match="a sequence of records") as found:
            check()
        assert len(str(found.value)) < 160
