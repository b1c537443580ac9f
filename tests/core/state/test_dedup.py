"""Deduplication: the counters, and the window of ids, compared to a set."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.state import dedup as module
from duologue.core.state.dedup import EMPTY_DEDUP, GENERATION, Dedup, Ignored, SentEvent

from ..talk import Service, fold_frames

IDS = st.sampled_from("abcdefgh")


def see_all(ids: list[str], dedup: Dedup = EMPTY_DEDUP) -> Dedup:
    for each in ids:
        dedup = dedup.see(each)
    return dedup


def knows(dedup: Dedup, event_id: str) -> bool:
    return dedup.see(event_id) is dedup


# --- Counters ----------------------------------------------------------------


def test_what_is_odd_is_counted_by_its_kind() -> None:
    """Unknown, malformed, duplicate and late events have a counter each."""
    service = Service()
    said = service.say(service.begin(), ["good"])
    service.finish(said)
    service.utter(said, " day")
    frames = [*service.frames, service.frames[0], {"type": "new"}, {"type": 5}]
    dedup = fold_frames(*frames).dedup

    assert (dedup.unknown, dedup.malformed, dedup.duplicate, dedup.late) == (1, 1, 1, 1)
    assert dedup.events == len(frames)


def test_nothing_was_counted() -> None:
    """A new dedup has only zero counters."""
    dedup = Dedup()

    assert (dedup.unknown, dedup.malformed, dedup.duplicate, dedup.late) == (0, 0, 0, 0)
    assert Dedup.of(0, ([], []), (), Ignored()) == dedup == EMPTY_DEDUP


# --- The window --------------------------------------------------------------


@given(st.lists(IDS))
def test_it_does_what_a_set_does(ids: list[str]) -> None:
    """Like a set, a dedup has each id once; a repeated id gives the same object."""
    dedup, known = EMPTY_DEDUP, set[str]()
    for each in ids:
        grown = dedup.see(each)
        assert (grown is dedup) == (each in known)
        dedup = grown
        known.add(each)
    assert {each for each in "abcdefgh" if knows(dedup, each)} == known
    assert dedup.seen == ([], list(dict.fromkeys(ids)))
    assert dedup.events == len(known)


@given(st.lists(st.tuples(st.integers(0, 30), IDS), max_size=30))
def test_histories_do_not_see_each_other(steps: list[tuple[int, str]]) -> None:
    """Adding an id to one dedup does not change any other."""
    dedups = [(EMPTY_DEDUP, frozenset[str]())]
    for at, each in steps:
        dedup, known = dedups[at % len(dedups)]
        dedups.append((dedup.see(each), known | {each}))
    for dedup, known in dedups:
        assert {each for each in "abcdefgh" if knows(dedup, each)} == known
        assert sorted(dedup.seen[1]) == sorted(known)


def test_the_oldest_are_forgotten() -> None:
    """At least the last generation of ids is kept, and at most two."""
    dedup = EMPTY_DEDUP
    for number in range(5 * GENERATION):
        dedup = dedup.see(str(number))
        assert sum(map(len, dedup.seen)) <= 2 * GENERATION
    last = range(4 * GENERATION, 5 * GENERATION)
    assert all(knows(dedup, str(number)) for number in last)
    assert not knows(dedup, "0")
    older, recent = dedup.seen
    assert [*older, *recent] == [str(n) for n in range(3 * GENERATION, 5 * GENERATION)]


def test_an_id_of_the_older_generation_is_known() -> None:
    """The ids of the generation before are kept."""
    dedup = see_all([str(number) for number in range(GENERATION + 1)])
    assert knows(dedup, "0")
    assert dedup.size == 1


#: A model of a window without sharing: the ids of two generations.
Model = tuple[tuple[str, ...], tuple[str, ...]]


def saw(model: Model, event_id: str, generation: int) -> Model:
    older, recent = model
    if event_id in older or event_id in recent:
        return model
    if len(recent) >= generation:
        return recent, (event_id,)
    return older, (*recent, event_id)


@pytest.mark.parametrize("generation", [1, 2, 3])
@given(st.lists(st.tuples(st.integers(0, 30), IDS), max_size=40))
def test_histories_that_part_around_a_turn(
    generation: int, steps: list[tuple[int, str]]
) -> None:
    """Dedups that branch around a new generation keep separate ids."""
    start: Model = ((), ())
    line: list[tuple[Dedup, Model]] = [(Dedup.of(), start)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "GENERATION", generation)
        for back, event_id in steps:
            dedup, model = line[-1 - back % len(line)]
            after, grown = dedup.see(event_id), saw(model, event_id, generation)
            assert (after is dedup) == (grown is model)
            line.append((after, grown))
        for dedup, (older, recent) in line:
            assert dedup.seen == ([*older], [*recent])


def test_the_same_events_again_are_shared() -> None:
    """The same ids on the same dedup share one window."""
    ids = [str(number) for number in range(GENERATION)]
    base = see_all(ids[:100], Dedup.of())
    first = see_all(ids[100:], base)
    again = see_all(ids[100:], base)

    assert again.window is first.window
    assert again == first
    # Another id at the same place makes another window.
    other = see_all(["other", *ids[101:]], base)
    assert other.window is not first.window
    assert (other.seen[1][100], first.seen[1][100]) == ("other", "100")
    # So does a later id of the first window.
    early = base.see(ids[200])
    assert early.seen[1] == [*ids[:100], "200"]
    assert first.seen[1] == ids


def test_ids_that_stand_twice_in_what_is_given() -> None:
    """A repeated id counts once, at its first place."""
    dedup = Dedup.of(0, (["a", "b", "a"], ["c", "d", "c"]))

    assert dedup == Dedup.of(0, (["a", "b"], ["c", "d"]))
    assert all(knows(dedup, each) for each in "abcd")
    assert dedup.see("e").seen == (["a", "b"], ["c", "d", "e"])


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads switch after a few steps of the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(grow: Callable[[int], None]) -> None:
    """Run four threads that begin together, each with its number."""
    start = Barrier(4)

    def run(number: int) -> None:
        start.wait()
        grow(number)

    threads = [Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_that_grow_one_window_alike(restless: None) -> None:
    """Threads that add the same ids to one dedup have the same ids."""
    ids = [str(step) for step in range(400)]
    base, grown = Dedup.of().see("base"), dict[int, Dedup]()

    def grow(number: int) -> None:
        grown[number] = see_all(ids, base)

    at_once(grow)
    assert [dedup.seen[1] for dedup in grown.values()] == [["base", *ids]] * 4


def test_threads_that_grow_one_window_get_windows_of_their_own(restless: None) -> None:
    """Threads that add different ids to one dedup get separate windows."""
    bases = [Dedup.of().see("base") for _ in range(10_000)]
    grown = dict[int, list[Dedup]]()

    def grow(number: int) -> None:
        ids = [f"{number}.{step}" for step in range(3)]
        grown[number] = [see_all(ids, base) for base in bases]

    at_once(grow)
    for number, dedups in grown.items():
        seen = ["base", *(f"{number}.{step}" for step in range(3))]
        assert all(dedup.seen == ([], seen) for dedup in dedups)


# --- Equality ----------------------------------------------------------------


@given(st.lists(IDS), st.lists(IDS))
def test_equal_by_what_was_seen(one: list[str], other: list[str]) -> None:
    """Dedups with the same ids in the same order are equal, and so are copies."""
    a, b = see_all(one), see_all(other)
    same = list(dict.fromkeys(one)) == list(dict.fromkeys(other))
    assert (a == b, a != b) == (same, not same)
    assert hash(a) == hash(copy.copy(a)) == hash(pickle.loads(pickle.dumps(a)))
    assert a == pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)
    assert (a == one, a != one) == (False, True)
    assert repr(a) == f"Dedup.of{(a.events, a.seen, (), Ignored())}"


def test_equal_by_what_was_counted() -> None:
    """Dedups with different counters or sent events differ."""
    seen = (["a"], ["b"])
    dedup = Dedup.of(2, seen)
    assert dedup == Dedup.of(2, seen)
    assert dedup != Dedup.of(3, seen)
    assert dedup != Dedup.of(2, seen, (SentEvent("c", "response.create"),))
    assert dedup != dedup.ignore("late")
    assert dedup.ignore("late") == Dedup.of(2, seen, (), Ignored(late=1))


def test_ids_are_unique_within_a_connection() -> None:
    """The same id on a later connection is no duplicate."""
    dedup = Dedup.of().see("a").see("a", 1)

    assert dedup.seen == ([], ["a", "1:a"])
    assert dedup.see("a", 1) is dedup


@given(st.lists(st.tuples(IDS, st.integers(0, 2))), st.integers(0, 2))
def test_the_ids_of_a_connection_are_forgotten(
    seen: list[tuple[str, int]], epoch: int
) -> None:
    """They count again then; those of other connections, and all counters, stay.

    The first connection is opened before any other, so all ids are its own.
    """
    dedup = EMPTY_DEDUP
    for event_id, of in seen:
        dedup = dedup.see(event_id, of)
    after = dedup.forget(epoch)
    assert (after.events, after.sent, after.ignored) == (
        (dedup.events, dedup.sent, dedup.ignored)
    )
    for event_id, of in seen:
        is_new = after.see(event_id, of) is not after
        assert is_new is (epoch in (0, of))
    assert after.forget(epoch) is after
