"""Properties of the whole reducer, on legal and on hostile streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map

from duologue.core import (
    Record,
    Session,
    State,
    dump,
    events,
    fold,
    load,
    reduce,
    select_transcripts,
    select_turns,
)
from duologue.core.reducer import HANDLERS

from .catalogue import EVERY
from .strategies import Talk, hostile, talk, talks, turns
from .talk import Frame, Service, changed, fold_frames, to_record, to_records

#: Most of what can go wrong shows in 100 examples; these are to be relied upon.
many = settings(max_examples=max(500, settings().max_examples))


def states(records: list[Record]) -> list[State]:
    """The state before the first record and after each."""
    found = [State()]
    for record in records:
        found.append(reduce(found[-1], record))
    return found


def without_tally(session: Session) -> Session:
    return attrs.evolve(session, tally=Session("").tally)


@given(talks())
def test_legal_streams_fold_to_their_words(talk: Talk) -> None:
    """A legal stream gives every line with its words, in order, nothing counted odd."""
    session = fold(to_records(talk.frames)).sessions["s"]
    tally = session.tally
    found = [(t.item_id, t.role, t.text) for t in select_transcripts(session)]

    assert list(talk.expected) == found
    assert (tally.unknown, tally.malformed, tally.duplicate) == (0, 0, 0)


@given(talks())
def test_legal_streams_leave_nothing_open(talk: Talk) -> None:
    """When all responses are done every line is final and no response is active."""
    session = fold(to_records(talk.frames)).sessions["s"]

    assert all(line.final for line in select_transcripts(session))
    assert session.responses.active is None


@many
@given(hostile())
def test_hostile_streams_never_raise(frames: list[Any]) -> None:
    """Whatever comes, the reducer gives a state that can be read and dumped."""
    state = fold(to_records(frames))
    for session in state.sessions.values():
        check_whole(session)
        assert len(frames) >= session.tally.events
    dump(state)


def check_whole(session: Session) -> None:
    """What holds of every session: nothing in it points nowhere."""
    order = list(session.conversation.order)
    assert len(set(order)) == len(order) == len(session.conversation.order)
    assert set(order) <= set(session.items)
    beside = set(session.items) - set(order)
    for item_id in beside:
        response_id = session.items[item_id].placement.response_id
        assert not session.responses.by_id[response_id or ""].in_conversation
    assert set(session.responses.order) == set(session.responses.by_id)
    assert session.responses.active in (None, *session.responses.by_id)
    for response in session.responses.by_id.values():
        assert set(response.item_ids) <= set(session.items)
    for waiting in session.conversation.waiting.values():
        assert set(waiting) <= set(session.items)
    select_transcripts(session)
    select_turns(session)


@given(hostile())
def test_nothing_is_mutated(frames: list[Any]) -> None:
    """A state dumps to the same bytes after later records as when it was made."""
    kept = [(state, dump(state)) for state in states(to_records(frames))[::5]]

    assert [data for _, data in kept] == [dump(state) for state, _ in kept]


@many
@given(hostile())
def test_same_object_where_nothing_changed(frames: list[Any]) -> None:
    """A node that is equal to the one before is the one before."""
    previous = Session("s")
    for record in to_records(frames):
        if isinstance(record.event, events.Forgotten):
            continue
        state = reduce(State(Map({"s": previous})), record)
        session = state.sessions["s"]
        for node in changed(previous, session):
            assert getattr(previous, node) != getattr(session, node), record.event
        previous = session


@given(hostile(), st.data())
def test_duplicates_change_only_the_tally(
    frames: list[Any], data: st.DataObject
) -> None:
    """An event whose id was seen in its epoch leaves every node but the tally."""
    records = [r for r in to_records(frames) if getattr(r.event, "event_id", None)]
    if not records:
        return
    again = data.draw(st.sampled_from(records))
    state = fold(records)
    before, after = state.sessions["s"], reduce(state, again).sessions["s"]

    assert changed(before, after) == []
    assert before.tally.duplicate + 1 == after.tally.duplicate


@given(turns(max_size=3), st.randoms(use_true_random=False))
def test_splitting_deltas_changes_no_text(plan: Any, random: Any) -> None:
    """The same words in other pieces fold to the same session."""
    frames = talk(plan).frames
    split: list[Frame] = []
    for frame in frames:
        text = frame.get("delta")
        if not text or frame["type"] == "response.output_audio.delta":
            split.append(frame)
            continue
        at = random.randrange(len(text) + 1)
        for n, piece in enumerate((text[:at], text[at:])):
            split.append(
                {**frame, "event_id": f"{frame['event_id']}.{n}", "delta": piece}
            )
    whole = fold([to_record(f) for f in frames]).sessions["s"]
    pieces = fold([to_record(f) for f in split]).sessions["s"]

    assert without_tally(whole) == without_tally(pieces)


@given(talks("a"), talks("b"), st.randoms(use_true_random=False))
def test_sessions_are_isolated(one: Talk, two: Talk, random: Any) -> None:
    """Two sessions whose records mix fold as each does alone."""
    left = to_records(one.frames, session="one")
    right = to_records(two.frames, session="two")
    mixed = mix(random, left, right)
    state = fold(mixed)

    assert fold(left).sessions["one"] == state.sessions["one"]
    assert fold(right).sessions["two"] == state.sessions["two"]


def mix(random: Any, left: list[Any], right: list[Any]) -> list[Any]:
    """Both lists in one, each in its order."""
    left, right, mixed = list(left), list(right), []
    while left or right:
        take = left if left and (not right or random.random() < 0.5) else right
        mixed.append(take.pop(0))
    return mixed


@given(st.randoms(use_true_random=False))
def test_events_of_independent_items_commute(random: Any) -> None:
    """However events of two items mix, each gets the same text, status and role."""
    service = Service()
    response = service.begin()
    begun = list(service.frames)
    tracks: list[list[Frame]] = []
    for text in ("one ", "two "):
        service.frames.clear()
        service.finish(service.say(response, (text, "words")))
        tracks.append(list(service.frames))
    apart = fold_frames(*begun, *tracks[0], *tracks[1])
    mixed = fold_frames(*begun, *mix(random, *tracks))

    assert essence(apart) == essence(mixed)


def essence(session: Session) -> dict[str, Any]:
    return {
        item.id: (item.role, item.status, [str(p.text) for p in item.parts])
        for item in session.items.values()
    }


@given(hostile())
def test_dump_and_load_round_trip(frames: list[Any]) -> None:
    """A state comes back equal from its bytes, and gives the same bytes again."""
    state = fold(to_records(frames))
    data = dump(state)

    assert state == load(data)
    assert data == dump(load(data))


@given(hostile(), st.data())
def test_snapshot_and_tail_equal_the_full_fold(
    frames: list[Any], data: st.DataObject
) -> None:
    """A fold that stops, is dumped, loaded and goes on ends where one go does."""
    records = to_records(frames)
    at = data.draw(st.integers(0, len(records)))
    resumed = fold(records[at:], load(dump(fold(records[:at]))))

    assert fold(records) == resumed


SEEDED = """
import hashlib, sys
from duologue.core import dump, fold, read_log
lines = sys.stdin.buffer.read().splitlines(keepends=True)
print(hashlib.sha256(dump(fold(read_log(lines)))).hexdigest())
"""


def test_dump_is_equal_across_hash_seeds() -> None:
    """The same records give the same bytes in processes that hash otherwise."""
    service = Service()
    for n in range(40):
        service.spoken(f"question {n}")
        service.reply(f"answer {n}")
    log = b"".join(
        msgspec.json.encode({"dir": "in", "event": frame}) + b"\n"
        for frame in service.frames
    )
    roots = str(Path(__file__).parents[2] / "core")
    digests = {
        subprocess.run(
            [sys.executable, "-c", SEEDED],
            input=log,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": roots},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }

    assert len(digests) == 1


def test_the_window_of_ids_is_of_the_epoch() -> None:
    """The same id on another connection is another event."""
    delta = {
        "type": "response.output_text.delta",
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "delta": "a",
    }
    state = fold([to_record(delta, epoch=0), to_record(delta, epoch=1)])

    assert [t.text for t in select_transcripts(state.sessions["s"])] == ["aa"]


def test_a_stray_of_an_older_epoch_does_not_wipe_the_window() -> None:
    """A record of the old connection between two of the new one doubles no text."""
    delta = {
        "type": "response.output_text.delta",
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "delta": "a",
    }
    stray = {"type": "rate_limits.updated", "event_id": "x", "rate_limits": []}
    state = fold(
        [
            to_record(delta, epoch=1),
            to_record(stray, epoch=0),
            to_record(delta, epoch=1),
        ]
    )

    assert [t.text for t in select_transcripts(state.sessions["s"])] == ["a"]
    assert state.sessions["s"].tally.duplicate == 1


def test_an_id_is_remembered_for_512_events() -> None:
    """The window holds at least the last 512 ids, and not all for ever."""
    first = {"type": "rate_limits.updated", "event_id": "first", "rate_limits": []}
    rest = [{**first, "event_id": f"e{n}"} for n in range(3000)]
    near = fold_frames(first, *rest[:511], first)
    far = fold_frames(first, *rest, first)

    assert (near.tally.duplicate, far.tally.duplicate) == (1, 0)
    assert len(far.tally.recent) + len(far.tally.older) <= 1024


@pytest.mark.parametrize("dir", ["out", "local"])
def test_wire_events_count_as_facts_only_as_received(dir: Any) -> None:
    """What a client sends is a wish: nothing changes but the tally."""
    service = Service()
    service.typed("hello")
    record = to_record(service.frames[0], dir=dir)

    assert changed(Session("s"), reduce(State(), record).sessions["s"]) == []


@pytest.mark.parametrize("fact", ["forgotten", "closed", "muted"])
def test_local_facts_do_not_come_from_the_wire(fact: str) -> None:
    """A service that sends our facts is not believed."""
    before = fold(to_records(talk([]).frames))
    frame = {"type": f"duologue.{fact}", "muted": True}
    after = reduce(before, to_record(frame, dir="in"))

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_forgotten_takes_the_session_out() -> None:
    """`duologue.forgotten` leaves no trace, and is nothing where there was none."""
    state = fold(to_records(talk([]).frames))
    forgotten = to_record({"type": "duologue.forgotten"})

    assert State() == reduce(state, forgotten)
    assert reduce(State(), forgotten) == State()


def test_handlers_are_of_the_catalogue() -> None:
    """Every handler is for a class that decoding can give."""
    assert set() == set(HANDLERS) - set(EVERY)


def test_unknown_and_malformed_are_counted() -> None:
    """What cannot be used leaves all but the tally as it was."""
    state = reduce(State(), to_record({"type": "response.dreamt"}))
    state = reduce(state, to_record(b"\xff"))
    session = state.sessions["s"]

    assert changed(Session("s"), session) == []
    assert (
        session.tally.events,
        session.tally.unknown,
        session.tally.malformed,
    ) == (2, 1, 1)
