"""The window of ids: what a set would say, whoever else grows from the same one."""

from __future__ import annotations

import copy
import pickle
from threading import Barrier, Thread

from hypothesis import given
from hypothesis import strategies as st

from duologue.core.seen import GENERATION, NOTHING_SEEN, Seen

IDS = st.sampled_from("abcdefgh")


@given(st.lists(IDS))
def test_it_does_what_a_set_does(ids: list[str]) -> None:
    """An id is in it from the first time on; adding it again gives the same window."""
    window, known = NOTHING_SEEN, set[str]()
    for each in ids:
        grown = window.add(each)
        assert (grown is window) == (each in known)
        window = grown
        known.add(each)
    assert {each for each in "abcdefgh" if each in window} == known
    assert len(window) == len(known)


@given(st.lists(st.tuples(st.integers(0, 30), IDS), max_size=30))
def test_histories_do_not_see_each_other(steps: list[tuple[int, str]]) -> None:
    """Whichever window one grows from, no other window changes."""
    windows = [(NOTHING_SEEN, frozenset[str]())]
    for at, each in steps:
        window, known = windows[at % len(windows)]
        windows.append((window.add(each), known | {each}))
    for window, known in windows:
        assert {each for each in "abcdefgh" if each in window} == known
        assert sorted(window.generations()[1]) == sorted(known)


def test_the_oldest_are_forgotten() -> None:
    """At least one generation is remembered, at most two."""
    window = NOTHING_SEEN
    for number in range(5 * GENERATION):
        window = window.add(str(number))
        assert len(window) <= 2 * GENERATION
    last = range(4 * GENERATION, 5 * GENERATION)
    assert all(str(number) in window for number in last)
    assert "0" not in window
    older, recent = window.generations()
    assert [*older, *recent] == [str(n) for n in range(3 * GENERATION, 5 * GENERATION)]


def test_an_id_of_the_older_generation_is_known() -> None:
    """Turning to a new generation forgets nothing at once."""
    window = NOTHING_SEEN
    for number in range(GENERATION + 1):
        window = window.add(str(number))
    assert window.add("0") is window
    assert "0" in window


def test_threads_that_grow_one_window_get_windows_of_their_own() -> None:
    """Two threads may fold different records onto the same state."""
    base = NOTHING_SEEN.add("base")
    start, grown = Barrier(4), dict[int, Seen]()

    def grow(number: int) -> None:
        start.wait()
        window = base
        for step in range(200):
            window = window.add(f"{number}.{step}")
        grown[number] = window

    threads = [Thread(target=grow, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: window.generations()[1] for number, window in grown.items()} == {
        number: ["base", *(f"{number}.{step}" for step in range(200))]
        for number in range(4)
    }


@given(st.lists(IDS), st.lists(IDS))
def test_equal_by_what_was_seen(one: list[str], other: list[str]) -> None:
    """The same ids in the same order are equal, a copy too."""
    a, b = NOTHING_SEEN, NOTHING_SEEN
    for each in one:
        a = a.add(each)
    for each in other:
        b = b.add(each)
    assert (a == b) == (list(dict.fromkeys(one)) == list(dict.fromkeys(other)))
    assert hash(a) == hash(copy.copy(a)) == hash(pickle.loads(pickle.dumps(a)))
    assert a == pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)
    assert a != one
    assert repr(a) == f"<{len(set(one))} ids seen>"
