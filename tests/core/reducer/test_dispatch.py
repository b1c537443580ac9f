"""Properties of the whole reducer, on legal and on hostile streams."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

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
from duologue.core.reducer.dispatch import HANDLERS
from duologue.core.testing import Model, Script, to_records
from duologue.core.testing.stream import Stream, direction
from duologue.core.views.json_patch import apply
from duologue.core.views.view import summary, view
from duologue.core.views.view_patch import patch

from ..catalogue import EVERY
from ..strategies import EITHER, examples, hostile, legal, mixed, scripts
from ..talk import POLICY, Frame, Service, changed, fold_frames, to_record

#: The number of records between two checks of a whole state, which are expensive.
STRIDE = 8
#: An index into a stream, modulo its length.
PLACES = st.integers(0, 2_000)


def without_dedup(session: Session) -> Session:
    return replace(session, dedup=Session("").dedup)


def earlier(before: State, name: str) -> Session:
    """The session in the earlier state; an empty one if it did not exist."""
    return before.sessions.get(name) or Session(name)


def moved(before: State, after: State, *names: str) -> set[tuple[str, str]]:
    """The nodes of these sessions, or of all, that are not the same object."""
    return {
        (name, node)
        for name in names or after.sessions
        if name in after.sessions
        for node in changed(earlier(before, name), after.sessions[name])
    }


# --- The state after legal streams ----------------------------------------------------


@examples(500)
@given(scripts(4))
def test_legal_streams_fold_to_their_words(script: Script) -> None:
    """All lines have their text, in order, and all replies end."""
    session = fold(to_records(script.frames)).sessions["s"]
    dedup = session.dedup
    lines = select_transcripts(session)

    assert [attrs.astuple(line) for line in script.lines] == [
        (line.item_id, line.role, line.text) for line in lines
    ]
    assert all(line.final for line in lines if line.role == "assistant")
    assert session.responses.active is None
    assert (dedup.unknown, dedup.malformed, dedup.duplicate) == (0, 0, 0)


@examples(500)
@given(scripts(3), st.integers(0, STRIDE - 1))
def test_legal_streams_agree_with_the_plain_model(script: Script, first: int) -> None:
    """After any record, the session equals a model in plain dicts."""
    model, state = Model(), State()
    stream = to_records(script.frames)
    for number, record in enumerate(stream, start=first):
        state = reduce(state, record)
        model.take(record)
        if number % STRIDE == 0:
            model.check(state.sessions["s"])
    model.check(state.sessions["s"])


# --- Robustness -----------------------------------------------------------------------


@examples(500)
@given(EITHER)
def test_no_stream_raises(stream: Stream) -> None:
    """Any state is consistent, can be viewed, and equals its loaded dump."""
    state = fold(stream)
    event(f"{len(stream) // 50 * 50} records or more")
    for session in state.sessions.values():
        check_whole(session)
        assert len(stream) >= session.dedup.events
        msgspec.json.encode([view(session), summary(session)])
    data = dump(state)
    loaded = load(data)

    assert state == loaded
    assert data == dump(loaded)


def check_whole(session: Session) -> None:
    """Check the invariants of a session: every reference has its target."""
    order = list(session.conversation.order)
    assert len(set(order)) == len(order) == len(session.conversation.order)
    assert set(order) <= set(session.items)
    for item_id in set(session.items) - set(order):
        response_id = session.items[item_id].placement.response_id
        assert not session.responses.by_id[response_id or ""].in_conversation
    assert set(session.responses.order) == set(session.responses.by_id)
    assert session.responses.active in (None, *session.responses.by_id)
    for response in session.responses.by_id.values():
        assert set(response.item_ids) <= set(session.items)
    for waiting in session.conversation.orphans.values():
        assert set(waiting) <= set(session.items)
    select_transcripts(session)
    select_turns(session)


@examples(500)
@given(EITHER)
def test_a_step_shares_and_never_mutates(stream: Stream) -> None:
    """An equal node is the same object, and an earlier state never changes."""
    before = State()
    kept = [(before, dump(before))]
    for number, record in enumerate(stream):
        after = reduce(before, record)
        for name, node in moved(before, after, record.session):
            assert getattr(earlier(before, name), node) != getattr(
                after.sessions[name], node
            ), record.event
        if number % (4 * STRIDE) == 0:
            kept.append((after, dump(after)))
        before = after

    assert [data for _, data in kept] == [dump(state) for state, _ in kept]


@examples(500)
@given(EITHER, PLACES)
def test_duplicates_change_only_dedup(stream: Stream, place: int) -> None:
    """An event whose id was seen in its epoch changes only the dedup node."""
    seen = stream[: place % (len(stream) + 1)]
    before = fold(seen)
    for again in known(seen):
        after = reduce(before, again)
        assert moved(before, after) == set()
        counts = [s.sessions[again.session].dedup.duplicate for s in (before, after)]
        assert counts[0] + 1 == counts[1]


def known(stream: list[Record]) -> list[Record]:
    """The records of the last 500 whose ids are in the dedup window.

    A connection that the log does not number has its own window.
    """
    found: list[Record] = []
    forgotten: set[str] = set()
    begun = counted(stream)
    for place in reversed(range(max(0, len(stream) - 500), len(stream))):
        record = stream[place]
        if isinstance(record.event, events.Forgotten) or place < begun.get(
            record.session, 0
        ):
            forgotten.add(record.session)
        elif (
            record.session not in forgotten
            and record.dir == "in"
            and getattr(record.event, "event_id", None)
        ):
            found.append(record)
    return found


def counted(stream: list[Record]) -> dict[str, int]:
    """Where the last connection began or ended that the log does not number."""
    found: dict[str, int] = {}
    state = State()
    for place, record in enumerate(stream):
        before, state = state, reduce(state, record)
        sessions = (
            before.sessions.get(record.session),
            state.sessions.get(record.session),
        )
        old, new = ((s or Session(record.session)).connection for s in sessions)
        is_begun = new.epoch > old.epoch and new.log_epoch is not None
        # `duologue.connecting` shows that the log numbers its connections after all.
        is_numbered = old.log_epoch is not None and new.created_ids is None
        if is_begun or is_numbered:
            found[record.session] = place
    return found


# --- The same facts in another form ---------------------------------------------------


@examples(500)
@given(scripts(3), st.binary(min_size=1, max_size=16))
def test_splitting_deltas_changes_no_text(script: Script, cuts: bytes) -> None:
    """The same text in other deltas folds to the same session."""
    split: list[Frame] = []
    for frame in script.frames:
        text = frame.get("delta")
        if not text or frame["type"] == "response.output_audio.delta":
            split.append(frame)
            continue
        at = cuts[len(split) % len(cuts)] % (len(text) + 1)
        split += [
            {**frame, "event_id": f"{frame['event_id']}.{n}", "delta": piece}
            for n, piece in enumerate((text[:at], text[at:]))
        ]
    # Without times, because the split stream has more records.
    whole, pieces = (
        fold([to_record(frame, dir=direction(frame), at=None) for frame in frames])
        for frames in (script.frames, split)
    )

    assert without_dedup(whole.sessions["s"]) == without_dedup(pieces.sessions["s"])


@examples(500)
@given(hostile(legal(2, sessions=3)))
def test_sessions_are_isolated(stream: Stream) -> None:
    """Interleaved sessions with the same ids fold as each does alone."""
    together = fold(stream).sessions
    for name in {record.session for record in stream}:
        alone = fold([record for record in stream if record.session == name])
        assert alone.sessions.get(name) == together.get(name)


@examples(500)
@given(
    st.lists(
        st.sampled_from(["spoken", "text", "call", "user"]), min_size=2, max_size=4
    ),
    st.binary(min_size=1, max_size=40),
    st.booleans(),
)
def test_events_of_independent_items_commute(
    kinds: list[str], choices: bytes, cut: bool
) -> None:
    """Interleaving does not change the text, status or role of an item."""
    service = Service()
    response = service.begin()
    begun = list(service.frames)
    tracks: list[list[Frame]] = []
    for index, kind in enumerate(kinds):
        service.frames = []
        status = "incomplete" if cut else "completed"
        if kind == "call":
            service.call(response, "look", ("{", f"{index}}}"), index=index)
        elif kind == "user":
            service.spoken("ha", f"llo {index}")
        else:
            spoken = kind == "spoken"
            said = service.say(response, ("a ", f"{index}"), spoken=spoken, index=index)
            service.finish(said, status)
        tracks.append(service.frames)
    apart = fold_frames(*begun, *(frame for track in tracks for frame in track))

    assert essence(apart) == essence(fold_frames(*begun, *mixed(choices, *tracks)))


def essence(session: Session) -> dict[str, Any]:
    return {
        item.id: (
            *(item.role, item.status, item.type),
            [str(part.text) for part in item.parts],
            item.call and (str(item.call.arguments), item.call.complete),
        )
        for item in session.items.values()
    }


# --- Snapshots and patches ------------------------------------------------------------


@examples(500)
@given(EITHER, PLACES)
def test_snapshot_and_tail_equal_the_full_fold(stream: Stream, place: int) -> None:
    """A fold resumed from a dumped state gives the same state as one full fold."""
    at = place % (len(stream) + 1)
    resumed = fold(stream[at:], load(dump(fold(stream[:at]))))

    assert fold(stream) == resumed


@examples(500)
@given(EITHER, st.integers(1, 9))
def test_patches_make_the_next_view(stream: Stream, step: int) -> None:
    """The patch of some records turns the view before into the view after."""
    before = State()
    pages: dict[str, Any] = {}
    for number, at in enumerate(range(0, len(stream), step)):
        some = stream[at : at + step]
        after = fold(some, before)
        for name in {record.session for record in some} & set(after.sessions):
            old, new = earlier(before, name), after.sessions[name]
            page = pages.get(name) if name in before.sessions else view(old)
            changes = patch(old, new, *(r for r in some if r.session == name))
            pages[name] = apply(page, msgspec.json.decode(msgspec.json.encode(changes)))
            # An error in a page persists, so a check of every STRIDE-th page is enough.
            if number % STRIDE == 0:
                assert view(new) == pages[name]
        before = after
    for name, session in before.sessions.items():
        assert view(session) == pages[name]


# --- Single rules ---------------------------------------------------------------------


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
    """A late record of an earlier connection does not reset the dedup window."""
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
    assert state.sessions["s"].dedup.duplicate == 1


def test_an_id_is_remembered_for_512_events() -> None:
    """The window holds at least the last 512 ids and at most 1,024."""
    first = {"type": "rate_limits.updated", "event_id": "first", "rate_limits": []}
    rest = [{**first, "event_id": f"e{n}"} for n in range(3000)]
    near = fold_frames(first, *rest[:511], first)
    state = fold(to_records([first, *rest, first]))

    assert (near.dedup.duplicate, state.sessions["s"].dedup.duplicate) == (1, 0)
    assert dump(state).count(b'"e') <= 1024


@pytest.mark.parametrize("dir", ["out", "local"])
def test_wire_events_count_as_facts_only_as_received(dir: Any) -> None:
    """A server event that was sent or recorded locally changes only the dedup node."""
    service = Service()
    service.reply("hello")
    record = to_record(service.frames[0], dir=dir)

    assert changed(Session("s"), reduce(State(), record).sessions["s"]) == []


@pytest.mark.parametrize("fact", ["forgotten", "closed", "muted"])
def test_local_facts_do_not_come_from_the_wire(fact: str) -> None:
    """A local fact that the service sends is ignored."""
    before = fold(to_records([{"type": "duologue.connected"}]))
    frame = {"type": f"duologue.{fact}", "muted": True}
    after = reduce(before, to_record(frame, dir="in"))

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_forgotten_takes_the_session_out() -> None:
    """`duologue.forgotten` removes a session; an unknown one is ignored."""
    state = fold(to_records([{"type": "duologue.connected"}]))
    forgotten = to_record({"type": "duologue.forgotten"})

    assert State() == reduce(state, forgotten)
    assert reduce(State(), forgotten) == State()


def test_handlers_are_of_the_catalogue() -> None:
    """Every handler is for an event class of the catalogue."""
    assert set() == set(HANDLERS) - set(EVERY)


def test_unknown_and_malformed_are_counted() -> None:
    """Unknown and malformed events change only the dedup node."""
    state = reduce(State(), to_record({"type": "response.dreamt"}))
    state = reduce(state, to_record(b"\xff"))
    session = state.sessions["s"]

    assert changed(Session("s"), session) == []
    assert (
        session.dedup.events,
        session.dedup.unknown,
        session.dedup.malformed,
    ) == (2, 1, 1)


def begins(response_id: str, event_id: str = "e1") -> Frame:
    response = {"id": response_id}
    return {"type": "response.created", "event_id": event_id, "response": response}


WORDS: Frame = {
    "type": "response.output_text.delta",
    "event_id": "e1",
    "item_id": "a",
    "response_id": "r",
    "delta": "x",
}
GONE: Frame = {"type": "conversation.item.deleted", "item_id": "a", "event_id": "e2"}


@pytest.mark.parametrize(
    ("frames", "named"),
    [
        ([begins("r"), begins("s")], ["s"]),
        ([begins("r"), begins("s"), begins("t")], ["s"]),
        ([begins("r"), WORDS], ["a"]),
        # The copy of an event, and events that would add nothing.
        ([begins("r"), begins("r")], []),
        ([begins("r"), begins("s", "e2"), begins("s")], []),
        ([WORDS, GONE, WORDS], []),
        ([begins("r"), {"type": "new", "event_id": "e1"}], []),
        ([begins("r"), {"type": "rate_limits.updated", "event_id": "e1"}], []),
    ],
)
def test_event_ids_that_are_repeated(frames: list[Frame], named: list[str]) -> None:
    """The second event is ignored: a problem, if it is about something new, once."""
    session = fold_frames(*frames)
    known = {*session.items, *session.responses.by_id}

    assert [problem.kind for problem in session.problems] == (
        ["repeated_event_id"] * len(named)
    )
    assert [
        f" of {name};" in problem.message
        for name, problem in zip(named, session.problems, strict=True)
    ] == [True] * len(named)
    assert not known & set(named)
    repeated = len(frames) - len({frame["event_id"] for frame in frames})
    assert session.dedup.ignored.duplicate == repeated


def attempts(*numbers: int) -> list[Record]:
    """Attempts at the first connection; on each, the service sends one event."""
    created = {"type": "session.created", "event_id": "e1", "session": {"id": "x"}}
    found = []
    for number in numbers:
        began: Frame = {"type": "duologue.connecting", "attempt": number}
        found += [to_record(began | {"policy": POLICY} if number == 1 else began)]
        found += [to_record(created)]
    return found


@pytest.mark.parametrize(("numbers", "duplicates"), [((1, 2, 3), 0), ((1, 1), 1)])
def test_the_ids_of_an_attempt_are_its_own(
    numbers: tuple[int, ...], duplicates: int
) -> None:
    """A later attempt in the same epoch may repeat the ids of the earlier one."""
    session = fold(attempts(*numbers)).sessions["s"]

    assert (session.dedup.duplicate, session.dedup.events) == (
        duplicates,
        2 * len(numbers),
    )


def test_events_of_a_successor_that_is_not_used_yet() -> None:
    """Its configuration is read; what it says of a conversation is not."""
    begun = fold(
        [
            *attempts(1),
            to_record({"type": "duologue.connected"}),
            to_record({"type": "duologue.connecting", "successor": True}, epoch=1),
        ]
    )
    created: Frame = {"type": "session.created", "session": {"id": "y"}}
    speech: Frame = {"type": "input_audio_buffer.speech_started", "item_id": "i"}
    speech |= {"audio_start_ms": 0}
    found = {
        frame["type"]: changed(
            begun.sessions["s"], reduce(begun, to_record(frame, epoch=1)).sessions["s"]
        )
        for frame in (created, speech)
    }

    assert found == {created["type"]: ["connection"], speech["type"]: []}
