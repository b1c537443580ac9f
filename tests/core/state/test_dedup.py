"""The tally: what it counts, and a window of ids that says what a set would say."""

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
from duologue.core.state.dedup import GENERATION, NO_TALLY, Ignored, Sent, Tally

from ..talk import Service, fold_frames

IDS = st.sampled_from("abcdefgh")


def see_all(ids: list[str], tally: Tally = NO_TALLY) -> Tally:
    for each in ids:
        tally = tally.see(each)
    return tally


def knows(tally: Tally, event_id: str) -> bool:
    return tally.see(event_id) is tally


# --- Counters ----------------------------------------------------------------


def test_what_is_odd_is_counted_by_its_kind() -> None:
    """Unheard of, not to be believed, seen before, behind its own end."""
    service = Service()
    said = service.say(service.begin(), ["good"])
    service.finish(said)
    service.utter(said, " day")
    frames = [*service.frames, service.frames[0], {"type": "new"}, {"type": 5}]
    tally = fold_frames(*frames).tally

    assert (tally.unknown, tally.malformed, tally.duplicate, tally.late) == (1, 1, 1, 1)
    assert tally.events == len(frames)


def test_nothing_was_counted() -> None:
    """A tally begins at nothing."""
    tally = Tally()

    assert (tally.unknown, tally.malformed, tally.duplicate, tally.late) == (0, 0, 0, 0)
    assert Tally.of(0, ([], []), (), Ignored()) == tally == NO_TALLY


# --- The window --------------------------------------------------------------


@given(st.lists(IDS))
def test_it_does_what_a_set_does(ids: list[str]) -> None:
    """An id is seen from the first time on; seeing it again gives the same tally."""
    tally, known = NO_TALLY, set[str]()
    for each in ids:
        grown = tally.see(each)
        assert (grown is tally) == (each in known)
        tally = grown
        known.add(each)
    assert {each for each in "abcdefgh" if knows(tally, each)} == known
    assert tally.seen == ([], list(dict.fromkeys(ids)))
    assert tally.events == len(known)


@given(st.lists(st.tuples(st.integers(0, 30), IDS), max_size=30))
def test_histories_do_not_see_each_other(steps: list[tuple[int, str]]) -> None:
    """Whichever tally one grows from, no other tally changes."""
    tallies = [(NO_TALLY, frozenset[str]())]
    for at, each in steps:
        tally, known = tallies[at % len(tallies)]
        tallies.append((tally.see(each), known | {each}))
    for tally, known in tallies:
        assert {each for each in "abcdefgh" if knows(tally, each)} == known
        assert sorted(tally.seen[1]) == sorted(known)


def test_the_oldest_are_forgotten() -> None:
    """At least one generation is remembered, at most two."""
    tally = NO_TALLY
    for number in range(5 * GENERATION):
        tally = tally.see(str(number))
        assert sum(map(len, tally.seen)) <= 2 * GENERATION
    last = range(4 * GENERATION, 5 * GENERATION)
    assert all(knows(tally, str(number)) for number in last)
    assert not knows(tally, "0")
    older, recent = tally.seen
    assert [*older, *recent] == [str(n) for n in range(3 * GENERATION, 5 * GENERATION)]


def test_an_id_of_the_older_generation_is_known() -> None:
    """Turning to a new generation forgets nothing at once."""
    tally = see_all([str(number) for number in range(GENERATION + 1)])
    assert knows(tally, "0")
    assert tally.size == 1


#: What a window does, with nothing shared: the ids of two generations.
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
    """Wherever they part, before the turn to a new generation, at it or after, each
    sees its own ids, in their order, and forgets its own."""
    start: Model = ((), ())
    line: list[tuple[Tally, Model]] = [(Tally.of(), start)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "GENERATION", generation)
        for back, event_id in steps:
            tally, model = line[-1 - back % len(line)]
            after, grown = tally.see(event_id), saw(model, event_id, generation)
            assert (after is tally) == (grown is model)
            line.append((after, grown))
        for tally, (older, recent) in line:
            assert tally.seen == ([*older], [*recent])


def test_the_same_events_again_are_shared() -> None:
    """Folding them once more from the same state copies nothing."""
    ids = [str(number) for number in range(GENERATION)]
    base = see_all(ids[:100], Tally.of())
    first = see_all(ids[100:], base)
    again = see_all(ids[100:], base)

    assert again.window is first.window
    assert again == first
    # Another id at that place is another history.
    other = see_all(["other", *ids[101:]], base)
    assert other.window is not first.window
    assert (other.seen[1][100], first.seen[1][100]) == ("other", "100")
    # An id that the first one saw later is another history, too.
    early = base.see(ids[200])
    assert early.seen[1] == [*ids[:100], "200"]
    assert first.seen[1] == ids


def test_ids_that_stand_twice_in_what_is_given() -> None:
    """They count once, where they stand first."""
    tally = Tally.of(0, (["a", "b", "a"], ["c", "d", "c"]))

    assert tally == Tally.of(0, (["a", "b"], ["c", "d"]))
    assert all(knows(tally, each) for each in "abcd")
    assert tally.see("e").seen == (["a", "b"], ["c", "d", "e"])


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns after a few steps of the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(grow: Callable[[int], None]) -> None:
    """Four threads that begin together, each with its number."""
    start = Barrier(4)

    def run(number: int) -> None:
        start.wait()
        grow(number)

    threads = [Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_that_grow_one_tally_alike(restless: None) -> None:
    """Whoever comes first, all have seen the same."""
    ids = [str(step) for step in range(400)]
    base, grown = Tally.of().see("base"), dict[int, Tally]()

    def grow(number: int) -> None:
        grown[number] = see_all(ids, base)

    at_once(grow)
    assert [tally.seen[1] for tally in grown.values()] == [["base", *ids]] * 4


def test_threads_that_grow_one_tally_get_windows_of_their_own(restless: None) -> None:
    """Two threads may fold different records onto the same state, again and again."""
    bases = [Tally.of().see("base") for _ in range(10_000)]
    grown = dict[int, list[Tally]]()

    def grow(number: int) -> None:
        ids = [f"{number}.{step}" for step in range(3)]
        grown[number] = [see_all(ids, base) for base in bases]

    at_once(grow)
    for number, tallies in grown.items():
        seen = ["base", *(f"{number}.{step}" for step in range(3))]
        assert all(tally.seen == ([], seen) for tally in tallies)


# --- As values ---------------------------------------------------------------


@given(st.lists(IDS), st.lists(IDS))
def test_equal_by_what_was_seen(one: list[str], other: list[str]) -> None:
    """The same ids in the same order are equal, a copy too."""
    a, b = see_all(one), see_all(other)
    same = list(dict.fromkeys(one)) == list(dict.fromkeys(other))
    assert (a == b, a != b) == (same, not same)
    assert hash(a) == hash(copy.copy(a)) == hash(pickle.loads(pickle.dumps(a)))
    assert a == pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)
    assert (a == one, a != one) == (False, True)
    assert repr(a) == f"Tally.of{(a.events, a.seen, (), Ignored())}"


def test_equal_by_what_was_counted() -> None:
    """Every counter tells."""
    seen = (["a"], ["b"])
    tally = Tally.of(2, seen)
    assert tally == Tally.of(2, seen)
    assert tally != Tally.of(3, seen)
    assert tally != Tally.of(2, seen, (Sent("c", "response.create"),))
    assert tally != tally.ignore("late")
    assert tally.ignore("late") == Tally.of(2, seen, (), Ignored(late=1))
