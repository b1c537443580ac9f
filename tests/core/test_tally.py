"""The tally: what it counts, and a window of ids that says what a set would say."""

from __future__ import annotations

import copy
import pickle
from threading import Barrier, Thread

from hypothesis import given
from hypothesis import strategies as st

from duologue.core.tally import GENERATION, NO_TALLY, Ignored, Sent, Tally

from .talk import Service, fold_frames

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


def test_threads_that_grow_one_tally_get_windows_of_their_own() -> None:
    """Two threads may fold different records onto the same state."""
    base = NO_TALLY.see("base")
    start, grown = Barrier(4), dict[int, Tally]()

    def grow(number: int) -> None:
        start.wait()
        grown[number] = see_all([f"{number}.{step}" for step in range(200)], base)

    threads = [Thread(target=grow, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: tally.seen[1] for number, tally in grown.items()} == {
        number: ["base", *(f"{number}.{step}" for step in range(200))]
        for number in range(4)
    }


# --- As values ---------------------------------------------------------------


@given(st.lists(IDS), st.lists(IDS))
def test_equal_by_what_was_seen(one: list[str], other: list[str]) -> None:
    """The same ids in the same order are equal, a copy too."""
    a, b = see_all(one), see_all(other)
    assert (a == b) == (list(dict.fromkeys(one)) == list(dict.fromkeys(other)))
    assert hash(a) == hash(copy.copy(a)) == hash(pickle.loads(pickle.dumps(a)))
    assert a == pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)
    assert a != one
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
