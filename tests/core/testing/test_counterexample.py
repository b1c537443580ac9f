"""A failing check ends soon, with a small stream."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st

from duologue.core import Record
from duologue.core.testing import Fault, Stream, Turn, records, script, to_records
from duologue.core.testing import counterexample as module
from duologue.core.testing.counterexample import search


def test_unneeded_records_are_removed() -> None:
    """If two records fail only together, all others are removed."""

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


def test_fixed_streams_come_first() -> None:
    """A fault in a fixed stream is found before any stream is drawn."""

    def never_over(stream: Stream) -> None:
        if any(record.event.type == "response.done" for record in stream):
            raise Fault("over", stream)

    with pytest.raises(Fault, match="over") as found:
        search(never_over, None, 1)
    assert [record.event.type for record in found.value.stream] == ["response.done"]


def test_another_fault_is_not_the_same() -> None:
    """While the stream is reduced, the cause of the fault stays the same."""

    def check(stream: Stream) -> None:
        if len(stream) > 3:
            raise Fault("long", stream) from KeyError("long")
        raise Fault("short", stream)

    long = to_records(script([Turn(("a",), ("b",))]).frames)
    with pytest.raises(Fault, match="long") as found:
        search(check, st.just(long), 5)
    assert len(found.value.stream) == 4


def test_the_search_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit, the best fault so far is raised."""
    monkeypatch.setattr(module, "_SHRINKING", 300)
    monkeypatch.setattr(module, "_REMOVING", 300)
    calls = itertools.count()

    def check(stream: Stream) -> None:
        next(calls)
        if len(stream) > 60:
            raise Fault("long", stream)

    with pytest.raises(Fault, match="long"):
        search(check, records(turns=5), 50)
    assert next(calls) < 100


def test_a_fault_that_does_not_recur() -> None:
    """A fault that does not recur is raised with its reason, without records."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        if next(calls) == 7:
            raise Fault("now and then", stream)

    with pytest.raises(Fault, match=r"not determin.*; one run: now and then") as found:
        search(check, records(turns=1), 20)
    assert found.value.stream == []


def test_a_check_that_passes() -> None:
    """Control: a check without a fault passes."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        next(calls)

    search(check, None, 10)
    assert next(calls) >= 10


def test_a_fault_that_does_not_recur_in_a_fixed_stream() -> None:
    """A fixed stream is run again too."""
    calls = itertools.count()

    def check(stream: Stream) -> None:
        if next(calls) == 0:
            raise Fault("now and then", stream)

    with pytest.raises(Fault, match=r"not determin.*; one run: now and then") as found:
        search(check, None, 5)
    assert found.value.stream == []


def test_a_recorded_stream() -> None:
    """A recorded stream is used unchanged, and reduced like any other."""
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
