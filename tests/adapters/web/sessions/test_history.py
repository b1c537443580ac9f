"""The history of a session is bounded, and any moment of it equals a fold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.adapters.web.sessions.history import History
from duologue.core import (
    Record,
    Session,
    State,
    apply,
    events,
    fold,
    read_log,
    reduce,
    view,
)
from duologue.core import testing as strategies
from duologue.core.testing import hostile


def frames(number: int) -> Iterator[str]:
    """The frames of a conversation with so many records."""
    yield '{"type":"duologue.connected"}'
    for n in range(1, number):
        yield (
            '{"type":"response.output_text.delta","response_id":"resp_1",'
            f'"event_id":"event_{n}","item_id":"item_{n // 50}","output_index":0,'
            f'"content_index":0,"delta":"word {n} "}}'
        )


def records(number: int, name: str = "call") -> list[Record]:
    return [
        Record.of(
            frame,
            seq=seq,
            session=name,
            dir="local" if "duologue" in frame else "in",
            at=float(seq),
        )
        for seq, frame in enumerate(frames(number), start=1)
    ]


def filled(found: list[Record], *, count: int = 20_000, size: int = 1 << 24) -> History:
    history = History("call", records=count, size=size)
    state = State()
    for record in found:
        state = reduce(state, record)
        history.add(record, state)
    return history


@pytest.mark.parametrize("seq", [1, 2, 255, 256, 257, 511, 700])
def test_a_moment_is_the_fold_up_to_it(seq: int) -> None:
    found = records(700)
    moment = filled(found).at(seq)
    assert moment is not None
    assert moment.view == view(fold(found[:seq]).sessions["call"])


def test_the_patch_of_a_moment_leads_to_its_view() -> None:
    history = filled(records(300))
    before, after = history.at(279), history.at(280)
    assert before is not None
    assert after is not None
    assert len(after.patch) == 1
    assert apply(before.view, after.patch) == after.view


def test_before_the_first_record_there_is_an_empty_session() -> None:
    moment = filled(records(3)).at(0)
    assert moment is not None
    assert moment.view == view(Session("call"))


def test_dropped_records_are_counted_and_the_rest_is_right() -> None:
    """The oldest records are dropped; the state after them is kept."""
    found = records(1_000)
    history = filled(found, count=600)
    assert (history.first, history.last, history.dropped) == (451, 1_000, 450)
    assert history.at(449) is None
    assert history.at(1_001) is None
    for seq in (450, 451, 800, 1_000):
        moment = history.at(seq)
        assert moment is not None
        assert moment.view == view(fold(found[:seq]).sessions["call"])


def test_bytes_are_bounded_too() -> None:
    found = records(2_000)
    history = filled(found, size=100_000)
    kept = sum(len(entry.line) for entry in history.entries())
    assert kept <= 100_000
    assert history.dropped_bytes + kept == sum(
        len(entry.line) for entry in filled(found).entries()
    )


def test_one_record_that_is_too_large_is_dropped_as_well() -> None:
    history = filled(records(2), size=10)
    assert (history.first, history.last, history.dropped) == (0, 2, 2)
    assert history.at(1) is None
    moment = history.at(2)
    assert moment is not None
    assert moment.view == view(fold(records(2)).sessions["call"])


def test_stepping_equals_a_direct_access() -> None:
    found = records(300)
    walked, fresh = filled(found), filled(found)
    for seq in range(250, 300):
        step = walked.at(seq)
        fresh._last_at = None
        assert step == fresh.at(seq)


def test_the_lines_are_a_log_of_the_same_records() -> None:
    found = records(300)
    lines = filled(found).lines().splitlines(keepends=True)
    assert list(read_log(lines)) == found


def test_a_missing_number_gives_the_record_before_it() -> None:
    found = [record for record in records(20) if record.seq not in (7, 8)]
    history = filled(found)
    assert history.at(8) == history.at(6)


def test_a_translation_keeps_its_kind_in_all_segments() -> None:
    """Four event names have other types there, even after the first line is dropped."""
    created = (
        '{"type":"session.created","event_id":"e0","session":{"type":"translation",'
        '"id":"sess_1","model":"gpt-realtime-translate","audio":{}}}'
    )
    delta = (
        '{{"type":"session.output_transcript.delta","event_id":"e{0}",'
        '"delta":"{0} ","elapsed_ms":{0}}}'
    )
    lines = [
        f'{{"dir":"in","event":{frame}}}'
        for frame in (created, *(delta.format(n) for n in range(1, 600)))
    ]
    found = list(read_log(lines, session="call"))
    history = History("call", records=400, size=1 << 24)
    for record in found:
        history.append(record)
    for seq in (400, 590):
        moment = history.at(seq)
        assert moment is not None
        assert moment.view == view(fold(found[:seq]).sessions["call"])
        assert moment.view["translation"]["output"]["chunks"]


def test_each_line_is_decoded_for_the_kind_of_its_time() -> None:
    """A forgotten session can return as another kind; earlier lines keep their kind."""
    told = [
        '{"type":"session.created","session":{"type":"realtime","id":"a"}}',
        '{"type":"session.updated","session":{"instructions":"Be brief."}}',
        '{"type":"duologue.forgotten"}',
        '{"type":"session.created","session":{"type":"translation","id":"b"}}',
        '{"type":"session.updated","session":{"model":"m"}}',
        '{"type":"duologue.forgotten"}',
        '{"type":"session.updated","session":{"instructions":"Be kind."}}',
    ]
    lines = [
        f'{{"dir":"{"local" if "duologue" in frame else "in"}","event":{frame}}}'
        for frame in told
    ]
    found = list(read_log(lines, session="call"))
    history = History("call", records=400, size=1 << 24)
    for record in found:
        history.append(record)
    for seq in range(1, len(found) + 1):
        moment = history.at(seq)
        sessions = fold(found[:seq]).sessions
        assert moment is not None
        assert moment.view == view(sessions.get("call") or Session("call"))
    assert {type(record.event) for record in (found[1], found[6])} == {
        events.SessionUpdated
    }


@given(stream=hostile(strategies.records()), data=st.data())
def test_any_moment_is_the_fold_up_to_it(
    stream: list[Record], data: st.DataObject
) -> None:
    """Compared with a fold of the kept lines, for numbers in any order."""
    name = stream[0].session
    own = [record for record in stream if record.session == name]
    history = History(name, records=40, size=1 << 24)
    for seq, record in enumerate(own, start=1):
        history.append(
            Record.of(
                record.frame,
                seq=seq,
                session=name,
                dir=record.dir,
                at=record.at,
                epoch=record.epoch,
            )
        )
    kept = list(read_log(entry.line for entry in history.entries()))
    asked = data.draw(st.lists(st.integers(0, len(own) + 1), min_size=1, max_size=6))
    for seq in asked:
        moment = history.at(seq)
        if not history.first - 1 <= seq <= history.last:
            assert moment is None
            continue
        assert moment is not None
        start = history._segments[0].before
        behind = [record for record in kept if record.seq <= seq]
        session = fold(behind, start).sessions.get(name)
        assert session is None or moment.view == view(session)
