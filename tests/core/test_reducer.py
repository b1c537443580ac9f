"""Properties of the whole reducer, on legal and on hostile streams."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

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
from duologue.core.patch import apply, patch
from duologue.core.reducer import HANDLERS
from duologue.core.testing import Model, Script, hostile, records, scripts, to_records
from duologue.core.view import summary, view

from .catalogue import EVERY
from .strategies import examples
from .talk import Frame, Service, changed, fold_frames, to_record

LEGAL = records(turns=3, sessions=2, translation=True)
HOSTILE = hostile(LEGAL)
EITHER = LEGAL | HOSTILE
ONE = hostile(records(turns=3))
KINDS = ("spoken", "text", "call", "user")


def states(stream: list[Record]) -> list[State]:
    """The state before the first record and after each."""
    found = [State()]
    for record in stream:
        found.append(reduce(found[-1], record))
    return found


def without_tally(session: Session) -> Session:
    return attrs.evolve(session, tally=Session("").tally)


def moved(before: State, after: State) -> set[tuple[str, str]]:
    """The nodes of all sessions that are not the same object, tallies aside."""
    found: set[tuple[str, str]] = set()
    for name, session in after.sessions.items():
        earlier = before.sessions.get(name) or Session(name)
        found |= {(name, node) for node in changed(earlier, session)}
    return found


# --- Legal streams fold to what they say ----------------------------------------------


@examples(500)
@given(scripts())
def test_legal_streams_fold_to_their_words(script: Script) -> None:
    """Every line stands with its words, in order, and nothing is counted odd."""
    session = fold(to_records(script.frames)).sessions["s"]
    tally = session.tally
    found = [(t.item_id, t.role, t.text) for t in select_transcripts(session)]

    assert [attrs.astuple(line) for line in script.lines] == found
    assert (tally.unknown, tally.malformed, tally.duplicate) == (0, 0, 0)


@examples(500)
@given(scripts())
def test_legal_streams_agree_with_the_plain_model(script: Script) -> None:
    """After every record, texts, statuses and order are what plain dicts say."""
    model, state = Model(), State()
    for record in to_records(script.frames):
        state = reduce(state, record)
        model.take(record)
        model.check(state.sessions["s"])


@examples(500)
@given(scripts())
def test_legal_streams_leave_nothing_open(script: Script) -> None:
    """When all responses are done no answer can grow, and no response is active."""
    session = fold(to_records(script.frames)).sessions["s"]
    answers = [t for t in select_transcripts(session) if t.role == "assistant"]

    assert all(line.final for line in answers)
    assert session.responses.active is None


# --- Nothing breaks it ----------------------------------------------------------------


@examples(500)
@given(EITHER)
def test_no_stream_raises(stream: list[Record]) -> None:
    """Whatever comes, the state can be read, viewed and dumped, and is whole."""
    state = fold(stream)
    event(f"{len(stream) // 50 * 50} records or more")
    for session in state.sessions.values():
        check_whole(session)
        assert len(stream) >= session.tally.events
        msgspec.json.encode([view(session), summary(session)])
    dump(state)


def check_whole(session: Session) -> None:
    """What holds of every session: nothing in it points nowhere."""
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
    for waiting in session.conversation.waiting.values():
        assert set(waiting) <= set(session.items)
    select_transcripts(session)
    select_turns(session)


@examples(500)
@given(EITHER)
def test_nothing_is_mutated(stream: list[Record]) -> None:
    """A state dumps to the same bytes after later records as when it was made."""
    state = State()
    kept = [(state, dump(state))]
    for number, record in enumerate(stream):
        state = reduce(state, record)
        if number % 32 == 0:
            kept.append((state, dump(state)))

    assert [data for _, data in kept] == [dump(state) for state, _ in kept]


@examples(500)
@given(EITHER)
def test_same_object_where_nothing_changed(stream: list[Record]) -> None:
    """A node that is equal to the one before is the one before."""
    before = State()
    for record in stream:
        after = reduce(before, record)
        session = after.sessions.get(record.session)
        if session is not None:
            earlier = before.sessions.get(record.session) or Session(record.session)
            for node in changed(earlier, session):
                assert getattr(earlier, node) != getattr(session, node), record.event
        before = after


@examples(500)
@given(EITHER, st.data())
def test_duplicates_change_only_the_tally(
    stream: list[Record], data: st.DataObject
) -> None:
    """An event whose id was seen in its epoch leaves every node but the tally."""
    numbers = [
        number
        for number, record in enumerate(stream)
        if record.dir == "in" and getattr(record.event, "event_id", None)
    ]
    if not numbers:
        return
    first = data.draw(st.sampled_from(numbers))
    again = stream[first]
    # Within the window, and while its session is there.
    last = data.draw(st.integers(first + 1, min(len(stream), first + 500)))
    before = fold(stream[:last])
    if any(isinstance(r.event, events.Forgotten) for r in stream[first:last]):
        return
    after = reduce(before, again)

    assert moved(before, after) == set()
    tallies = [s.sessions[again.session].tally.duplicate for s in (before, after)]
    assert tallies[0] + 1 == tallies[1]


# --- The same facts, told otherwise ---------------------------------------------------


@examples(500)
@given(scripts(turns=3), st.binary(min_size=1, max_size=16))
def test_splitting_deltas_changes_no_text(script: Script, cuts: bytes) -> None:
    """The same words in other pieces fold to the same session."""
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
    whole = fold([to_record_of(f) for f in script.frames]).sessions["s"]
    pieces = fold([to_record_of(f) for f in split]).sessions["s"]

    assert without_tally(whole) == without_tally(pieces)


def to_record_of(frame: Frame) -> Record:
    """The record of a frame at no time, because splitting makes more of them."""
    [record] = to_records([frame])
    return msgspec.structs.replace(record, at=None)


@examples(500)
@given(ONE, ONE, st.binary(min_size=1, max_size=16))
def test_sessions_are_isolated(
    one: list[Record], two: list[Record], choices: bytes
) -> None:
    """Records of two sessions that mix fold as those of each do alone."""
    left = [msgspec.structs.replace(r, session="one") for r in one]
    right = [msgspec.structs.replace(r, session="two") for r in two]
    both = fold(mix(choices, left, right)).sessions

    assert fold(left).sessions.get("one") == both.get("one")
    assert fold(right).sessions.get("two") == both.get("two")


def mix(choices: bytes, left: list[Any], right: list[Any]) -> list[Any]:
    """Both lists in one, each in its order."""
    left, right = left[::-1], right[::-1]
    mixed: list[Any] = []
    while left or right:
        side = choices[len(mixed) % len(choices)] % 2
        take = left if left and (not right or side) else right
        mixed.append(take.pop())
    return mixed


@examples(500)
@given(
    st.lists(
        st.sampled_from(["spoken", "text", "call", "user"]), min_size=2, max_size=4
    ),
    st.lists(st.binary(min_size=1, max_size=16), min_size=3, max_size=3),
    st.booleans(),
)
def test_events_of_independent_items_commute(
    kinds: list[str], choices: list[bytes], cut: bool
) -> None:
    """However events of several items mix, each gets the same text, status and role."""
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
    mixed: list[Frame] = []
    for track, bits in zip(tracks, [*choices, b"\0"], strict=False):
        mixed = mix(bits, mixed, track)
    apart = fold_frames(*begun, *(frame for track in tracks for frame in track))

    assert essence(apart) == essence(fold_frames(*begun, *mixed))


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
@given(EITHER)
def test_dump_and_load_round_trip(stream: list[Record]) -> None:
    """A state comes back equal from its bytes, and gives the same bytes again."""
    state = fold(stream)
    data = dump(state)

    assert state == load(data)
    assert data == dump(load(data))


@examples(500)
@given(EITHER, st.data())
def test_snapshot_and_tail_equal_the_full_fold(
    stream: list[Record], data: st.DataObject
) -> None:
    """A fold that stops, is dumped, loaded and goes on ends where one go does."""
    at = data.draw(st.integers(0, len(stream)))
    resumed = fold(stream[at:], load(dump(fold(stream[:at]))))

    assert fold(stream) == resumed


@examples(500)
@given(EITHER, st.integers(1, 9))
def test_patches_make_the_next_view(stream: list[Record], step: int) -> None:
    """The patch of some records, applied to the view before, is the view after."""
    before = State()
    pages: dict[str, Any] = {}
    for at in range(0, len(stream), step):
        some = stream[at : at + step]
        after = fold(some, before)
        for name in {record.session for record in some} & set(after.sessions):
            old = before.sessions.get(name) or Session(name)
            new = after.sessions[name]
            page = pages.get(name) if name in before.sessions else view(old)
            changes = patch(old, new, *(r for r in some if r.session == name))
            pages[name] = apply(page, msgspec.json.decode(msgspec.json.encode(changes)))
            assert view(new) == pages[name]
        before = after


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
    before = fold(to_records([{"type": "duologue.connected"}]))
    frame = {"type": f"duologue.{fact}", "muted": True}
    after = reduce(before, to_record(frame, dir="in"))

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_forgotten_takes_the_session_out() -> None:
    """`duologue.forgotten` leaves no trace, and is nothing where there was none."""
    state = fold(to_records([{"type": "duologue.connected"}]))
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
