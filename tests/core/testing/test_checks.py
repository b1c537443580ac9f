"""The checks find and name the faults in their documentation."""

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
    """A reducer of an application."""
    return {**counts, record.event.type: counts.get(record.event.type, 0) + 1}


def test_ours_passes() -> None:
    """`reduce` passes the check, duplicates included."""
    check_reducer(reduce, State(), duplicates=True, examples=30)


def test_a_pure_reducer_passes() -> None:
    """A pure reducer passes, with default streams and with given ones."""
    check_reducer(count, NONE, examples=10)
    check_reducer(count, NONE, streams=turns(), examples=5)


def test_one_that_raises_is_found() -> None:
    """An exception is found, with the fewest records that lead to it."""

    def fails(seen: tuple[str, ...], record: Record) -> tuple[str, ...]:
        if record.event.type == "response.done":
            raise KeyError("what")
        return (*seen, record.event.type)

    with pytest.raises(Fault, match=r"^fails raised KeyError\('what'\) at record 1 \("):
        check_reducer(fails, tuple[str, ...](), examples=50)


def test_one_that_changes_its_state_is_found() -> None:
    """A reducer that changes its argument, always or sometimes, is found."""

    def always(seen: list[str], record: Record) -> list[str]:
        seen.append(record.event.type)
        return seen

    def sometimes(seen: list[str], record: Record) -> list[str]:
        if record.event.type == "response.created":
            seen.append("more")
        return [*seen]

    for reducer in (always, sometimes):
        with pytest.raises(Fault, match="changed its argument at"):
            check_reducer(reducer, list[str](), examples=50)


def test_a_late_change_of_an_early_state_is_found() -> None:
    """A later change of an earlier state is found at the end of the stream."""
    kept: list[list[int]] = []

    def meddles(state: list[int], record: Record) -> list[int]:
        if record.event.type == "duologue.connecting":
            kept.clear()
        kept.append([len(kept)])
        if len(kept) > 6:
            kept[1].append(1)
        return kept[-1]

    with pytest.raises(Fault, match="changed its argument at"):
        check_reducer(meddles, list[int](), streams=turns(), examples=20)


def test_one_that_throws_dice_is_found() -> None:
    """A reducer that gives two states for the same records is found."""
    dice = itertools.count()

    def throws(state: int, record: Record) -> int:
        return next(dice)

    with pytest.raises(Fault, match="same records"):
        check_reducer(throws, 0, examples=10)


def test_one_that_changes_for_a_duplicate_is_found() -> None:
    """With ``duplicates``, a state that changes for a duplicate is found."""
    with pytest.raises(Fault, match="for a duplicate event") as found:
        check_reducer(count, NONE, duplicates=True, examples=10)
    assert len(found.value.stream) == 1
    kind = found.value.stream[0].event.type
    assert f"  before: {{'{kind}': 1}}\n  after: {{'{kind}': 2}}\n" in str(found.value)


def test_one_that_drops_a_session_for_a_duplicate_is_found() -> None:
    """A `State` that loses a session for a duplicate is found."""

    def drops(state: State, record: Record) -> State:
        again = getattr(record.event, "event_id", None) in seen
        seen.add(getattr(record.event, "event_id", "") or "")
        return State() if again else reduce(state, record)

    seen: set[str] = set()
    with pytest.raises(Fault):
        check_reducer(drops, State(), duplicates=True, examples=10)


def test_a_state_that_cannot_be_pickled_is_photographed_by_its_repr() -> None:
    """States that cannot be pickled are compared by their repr."""

    def swaps(state: Callable[[], None], record: Record) -> Callable[[], None]:
        return state

    check_reducer(swaps, lambda: None, examples=5)


def test_one_that_reads_a_global_is_found() -> None:
    """A reducer that reads a global is found, because every step runs twice."""
    known: set[str] = set()

    def remembers(last: str, record: Record) -> str:
        event_id = getattr(record.event, "event_id", None) or ""
        news = event_id not in known
        known.add(event_id)
        return record.event.type if news else last

    with pytest.raises(Fault, match=r"remembers (returned two states|is not|changed)"):
        check_reducer(remembers, "", streams=turns(), examples=20)


def test_two_values_are_shown_with_their_place() -> None:
    """The message has the record and both values from their first difference."""
    runs = itertools.count()

    def grows(state: str, record: Record) -> str:
        return "x" * 300 + str(next(runs))

    with pytest.raises(Fault, match="returned two states") as found:
        check_reducer(grows, "", streams=turns(), examples=1)
    assert "at record 1 (duologue.connecting)" in str(found.value)
    assert "  first: …xxx" in str(found.value)
    assert "  second: …xxx" in str(found.value)


def test_one_that_raises_the_second_time_is_found() -> None:
    """The message names the second run if only that one raised."""
    seen: set[int] = set()

    def once(state: int, record: Record) -> int:
        if (again := id(record)) in seen:
            raise ValueError("again")
        seen.add(again)
        return state

    with pytest.raises(Fault, match=r"raised ValueError\('again'\).*, the second time"):
        check_reducer(once, 0, streams=turns(), examples=1)


def test_a_forgotten_return_is_found() -> None:
    """A returned None is a fault, unless it is the initial state."""

    def forgets(state: int | None, record: Record) -> int | None:
        return None

    start: int | None = 0
    with pytest.raises(
        Fault, match=r"^forgets returned None at record 1 .*a return missing"
    ):
        check_reducer(forgets, start, examples=5)
    check_reducer(forgets, None, examples=5)


def test_one_that_fails_at_random_is_found() -> None:
    """A fault that does not recur is reported as not deterministic."""
    calls = itertools.count()

    def once(seen: int, record: Record) -> int:
        if next(calls) == 40:
            raise ValueError("now and then")
        return seen

    with pytest.raises(Fault, match="is not deterministic"):
        check_reducer(once, 0, examples=20)


# --- Renders --------------------------------------------------------------------------


def test_a_selector_passes() -> None:
    """A selector passes."""
    check_render(select_transcripts, examples=20)


def test_a_render_that_raises_is_found() -> None:
    """A render that raises on an unexpected session is found."""

    def last(session: Session) -> str:
        return select_transcripts(session)[-1].text

    with pytest.raises(Fault, match="raised IndexError"):
        check_render(last, examples=50)


def test_a_render_that_changes_its_answer_is_found() -> None:
    """A render that gives two values for one session is found."""
    numbers = itertools.count()

    answers = (
        r"(?s)<lambda> returned two values for session s1, after record 1 \(.*\)\n"
        r"  first: \d+\n  second: \d+"
    )
    with pytest.raises(Fault, match=answers):
        check_render(lambda session: next(numbers), examples=5)


def test_a_render_that_changes_the_session_is_found() -> None:
    """A render that changes a frozen session is found."""

    def meddle(session: Session) -> None:
        type(session.dedup).__dict__["events"].__set__(session.dedup, 0)

    with pytest.raises(Fault, match="changed its argument,"):
        check_render(meddle, examples=5)


def test_a_render_that_changes_an_early_session_is_found() -> None:
    """A change of an earlier session is found at the end of the stream."""
    legal = to_records(script([Turn(("a",), ("b",))] * 3).frames)

    def meddle(session: Session) -> None:
        if len(session.items) == 1:
            for item in session.items.values():
                type(item).__dict__["role"].__set__(item, "other")

    with pytest.raises(Fault, match="meddle changed its argument"):
        check_render(meddle, streams=legal)


def test_a_forgotten_session_is_not_rendered() -> None:
    """A forgotten session is not passed to ``render``."""
    frames = [{"type": "duologue.connecting"}, {"type": "duologue.forgotten"}]
    shown: list[str] = []

    check_render(lambda session: shown.append(session.id), streams=to_records(frames))

    assert set(shown) == {"s"}


def test_states_that_differ_from_run_to_run_and_then_raise() -> None:
    """The search for the change ends if the reducer raises."""
    calls = itertools.count(1)

    def odd(total: int, record: Record) -> int:
        if (number := next(calls)) == 3:
            raise KeyError("third")
        return number

    with pytest.raises(Fault, match="odd returned two states for the same records"):
        check_reducer(odd, 0, streams=to_records([{"type": "x"}]), examples=1)


def length_of_answers(session: Session) -> object:
    """A render that requires every item to be finished."""
    lines: Any = select_transcripts(session)
    return [line.finished_at - line.started_at for line in lines]


def first_words(session: Session) -> object:
    """A render that requires every message to have a part."""
    items = select_items(session)
    return [item.parts[0].text for item in items if item.type == "message"]


@pytest.mark.parametrize("render", [length_of_answers, first_words])
def test_a_render_gets_unfinished_items(
    render: Callable[[Session], object],
) -> None:
    """A render is called after every record, so with unfinished items too."""
    with pytest.raises(Fault, match=r"for session s1, after record 1 \(") as found:
        check_render(render)
    assert len(found.value.stream) == 1


def test_a_render_is_called_for_the_session_that_changed() -> None:
    """A render is called once for each record, and for some twice."""
    seen: list[Session] = []
    legal = to_records(script([Turn(("a",), ("b",))] * 2).frames)
    check_render(seen.append, streams=legal)

    distinct = {id(session): session for session in seen}
    assert len(distinct) == len(legal) > 32
    assert len(seen) < 1.5 * len(legal)


def test_an_equal_state_is_not_the_same_object() -> None:
    """For a duplicate, an equal state that is not the same object is a fault."""

    def copies(seen: frozenset[str], record: Record) -> frozenset[str]:
        return frozenset({*seen, getattr(record.event, "event_id", None) or ""})

    def keeps(seen: frozenset[str], record: Record) -> frozenset[str]:
        after = copies(seen, record)
        return seen if after == seen else after

    what = r"^copies returned an equal state, but not the same object, for a dup"
    with pytest.raises(Fault, match=what) as found:
        check_reducer(copies, frozenset[str](), duplicates=True)
    assert "  state: frozenset({" in str(found.value)
    assert "before:" not in str(found.value)
    check_reducer(keeps, frozenset[str](), duplicates=True, examples=20)


# --- Streams of the user ------------------------------------------------------------


def test_a_recorded_stream_is_used_unchanged() -> None:
    """Every check accepts a list of records in place of a strategy."""
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
def test_an_invalid_stream_raises_type_error(streams: Any) -> None:
    """Every check raises `TypeError` for an invalid stream."""
    checks: list[Callable[[], None]] = [
        lambda: check_reducer(count, NONE, streams=streams),
        lambda: check_render(select_transcripts, streams=streams),
        lambda: check_middleware(lambda store, dispatch: dispatch, streams=streams),
    ]
    for check in checks:
        with pytest.raises(TypeError, match="a sequence of records") as found:
            check()
        assert len(str(found.value)) < 160
