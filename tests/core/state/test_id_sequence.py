"""`IdSequence`, compared to a list."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from duologue.core.state import id_sequence as module
from duologue.core.state.id_sequence import NO_IDS, IdSequence


class OrderMachine(RuleBasedStateMachine):
    """Applies each operation to an `IdSequence` and to a list."""

    def __init__(self) -> None:
        super().__init__()
        self.order = NO_IDS
        self.list: list[str] = []
        self.made = 0

    def fresh(self, count: int) -> tuple[str, ...]:
        self.made += count
        return tuple(str(n) for n in range(self.made - count, self.made))

    @rule()
    def append(self) -> None:
        (new,) = self.fresh(1)
        self.order = self.order.append(new)
        self.list.append(new)

    @rule(count=st.integers(0, 9))
    def insert_in_front(self, count: int) -> None:
        new = self.fresh(count)
        self.order = self.order.insert_after(None, new)
        self.list[:0] = new

    @rule(count=st.integers(0, 9))
    def insert_after_a_stranger(self, count: int) -> None:
        new = self.fresh(count)
        self.order = self.order.insert_after("nobody", new)
        self.list += new

    @precondition(lambda self: self.list)
    @rule(count=st.integers(1, 9), data=st.data())
    def insert_after(self, count: int, data: Any) -> None:
        at = data.draw(st.integers(0, len(self.list) - 1))
        new = self.fresh(count)
        self.order = self.order.insert_after(self.list[at], new)
        self.list[at + 1 : at + 1] = new

    @precondition(lambda self: self.list)
    @rule(count=st.integers(1, 12), data=st.data())
    def without(self, count: int, data: Any) -> None:
        at = data.draw(st.integers(0, len(self.list) - 1))
        gone = (*self.list[at : at + count], "nobody")
        self.order = self.order.without(gone)
        del self.list[at : at + count]

    @invariant()
    def same(self) -> None:
        assert self.list == list(self.order)
        assert self.list[::-1] == list(reversed(self.order))
        assert len(self.list) == len(self.order)
        assert (self.list[-1] if self.list else None) == self.order.last
        assert IdSequence(self.list) == self.order
        assert hash(IdSequence(self.list)) == hash(self.order)
        for before, item_id in zip([None, *self.list], self.list, strict=False):
            assert before == self.order.before(item_id)
            assert self.order.follows(item_id, before)
            assert item_id in self.order
        if self.list:
            assert self.list[1:] == list(self.order.after(self.list[0]))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks so small that a short run splits and joins them."""
    monkeypatch.setattr(module, "_CHUNK", 4)


def test_it_does_what_a_list_does(small_chunks: None) -> None:
    """After any operations, the sequence and the list are equal."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        OrderMachine, settings=settings(max_examples=60, stateful_step_count=30)
    )


@given(st.lists(st.text(max_size=2), unique=True))
def test_strangers_are_nowhere(ids: list[str]) -> None:
    """An unknown id has no neighbours, and removing it changes nothing."""
    order = IdSequence(ids)

    assert order.before("stranger") is None
    assert list(order.after("stranger")) == []
    assert "stranger" not in order
    assert order is order.without(("stranger",))
    assert order is order.without(("stranger",) * 20)
    assert order is order.insert_after(None, ())


def test_chunks_stay_bounded() -> None:
    """Chunks stay small when ids are added at the end, the front or the middle."""
    order = IdSequence(["middle"])
    for n in range(200):
        order = order.append(f"end {n}")
        order = order.insert_after(None, (f"front {n}",))
        order = order.insert_after("middle", (f"after {n}",))

    assert max(len(chunk) for chunk in order._chunks) <= 8
    assert len(order._chunks) < 601 / 2


@pytest.mark.parametrize(
    "look",
    [
        lambda order: next(iter(order)),
        lambda order: next(reversed(order)),
        lambda order: "39990" in order,
        lambda order: next(order.after("39991")),
    ],
)
def test_a_look_copies_nothing(look: Callable[[IdSequence], object]) -> None:
    """Access near either end copies nothing, whatever the length."""
    order = IdSequence(map(str, range(40_000)))
    tracemalloc.start()
    try:
        assert look(order)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # There are 10,000 chunks: pointers to all of them would take 80 kB.
    assert most < 20_000


def test_it_equals_no_other_thing() -> None:
    """A sequence equals only a sequence of the same ids."""
    assert IdSequence(["a"]) != ["a"]
    assert IdSequence(["a"]) != IdSequence(["b"])
    assert repr(IdSequence(["a"])) == "IdSequence(['a'])"


@given(st.integers(0, 20), st.lists(st.booleans(), max_size=30))
def test_since_gives_what_was_appended(size: int, steps: list[bool]) -> None:
    """`since` gives the ids appended to an earlier sequence, or else None."""
    ids = [str(n) for n in range(size)]
    earlier = grown = IdSequence(ids)
    new: list[str] = []
    for number, at_end in enumerate(steps):
        if at_end:
            new.append(f"new {number}")
            grown = grown.append(new[-1])
        else:
            grown = grown.insert_after(None, (f"front {number}",))
    is_growth = all(steps) or not ids

    assert grown.since(earlier) == (
        None if not is_growth else [*grown][len(ids) :] if ids else [*grown]
    )


def test_since_of_a_stranger(small_chunks: None) -> None:
    """If earlier ids are missing or replaced, `since` is None."""
    ids = [str(n) for n in range(30)]
    order = IdSequence(ids)

    assert order.without(("29",)).since(order) is None
    assert IdSequence(ids[:3]).since(order) is None
    assert IdSequence([*ids[:29], "other", "more"]).since(order) is None
    assert order.since(IdSequence()) == ids
    assert order.since(order) == []
