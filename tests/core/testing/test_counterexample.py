"""What is found is made small, and soon."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st

from duologue.core import Record
from duologue.core.testing import Fault, Stream, Turn, records, script, to_records
from duologue.core.testing import counterexample as module
from duologue.core.testing.counterexample import search


def test_what_is_not_needed_is_left_out() -> None:
    """Of two records that only together are wrong, all between go."""

    def together(stream: Stream) -> None:
        types = [record.event.type for record in stream]
        if {"session.created", "response.done"} <= {*types}:
            raise Fault("together", stream)

    with pytest.raises(Fault) as found:
        search(together, records(turns=3, sessions=2), 50)
    assert [record.event.type for record in found.value.stream] == [
        "session.created",
        "response.done",
    ]
    assert [record.seq for record in found.value.stream] in ([1, 2], [1, 1])


def test_what_is_always_tried_comes_first() -> None:
    """What is found there is found without drawing any stream."""

    def never_over(stream: Stream) -> None:
        if any(record.event.type == "response.done" for record in stream):
            raise Fault("over", stream)

    with pytest.raises(Fault, match="over") as found:
        search(never_over, None, 1)
    assert [record.event.type for record in found.value.stream] == ["response.done"]


def test_another_fault_is_not_taken_for_the_same() -> None:
    """What raised is still what raises."""

    def check(stream: Stream) -> None:
        if len(stream) > 3:
            raise Fault("long", stream) from KeyError("long")
        raise Fault("short", stream)

    long = to_records(script([Turn(("a",), ("b",))]).frames)
    with pytest.raises(Fault, match="long") as found:
        search(check, st.just(long), 5)
    assert len(found.value.stream) == 4


def test_the_search_for_less_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found by then is given."""
    monkeypatch.setattr(module, "_SIMPLER", 300)
    monkeypatch.setattr(module, "_FEWER", 300)
    calls = itertools.count()

    def check(stream: Stream) -> None:
        next(calls)
        if len(stream) > 60:
            raise Fault("long", stream)

    with pytest.raises(Fault, match="long"):
        search(check, records(turns=5), 50)
    assert next(calls) < 100


def test_what_does_not_happen_again_is_told_as_such() -> None:
    """With what happened once, and without records, which do not show it."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        if next(calls) == 7:
            raise Fault("now and then", stream)

    with pytest.raises(Fault, match=r"not do the same .*; once: now and then") as found:
        search(check, records(turns=1), 20)
    assert found.value.stream == []


def test_what_holds_is_left_alone() -> None:
    """The control: no fault."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        next(calls)

    search(check, None, 10)
    assert next(calls) >= 10


def test_what_does_not_happen_again_in_a_stream_that_is_always_tried() -> None:
    """It is told as such too, not taken for a fault of the stream."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        if next(calls) == 0:
            raise Fault("now and then", stream)

    with pytest.raises(Fault, match=r"not do the same .*; once: now and then") as found:
        search(check, None, 5)
    assert found.value.stream == []


def test_a_recording_is_what_is_searched() -> None:
    """It is given as it is, and made small like any other."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)
    seen: list[list[Record]] = []

    def check(stream: Stream) -> None:
        seen.append([*stream])
        if any(record.event.type == "response.done" for record in stream):
            raise Fault("over", stream)

    with pytest.raises(Fault, match="over") as found:
        search(check, iter(legal), 5)
    assert seen[0] == [*legal]
    assert [record.event.type for record in found.value.stream] == ["response.done"]
