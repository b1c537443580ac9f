"""A log that does not number its connections folds like one that does.

Every `session.created` with another session id begins a connection, unless the log, or
the live session, has epochs of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Record,
    Session,
    SessionStatus,
    Store,
    apply,
    dump,
    fold,
    load,
    patch,
    react,
    read_log,
    reduce,
    select_transcripts,
    to_line,
    view,
)
from duologue.core.state.model import State
from duologue.core.testing import Script
from duologue.core.testing.strategies import translations
from duologue.core.testing.stream import direction
from duologue.core.views.notices import notices

from ..strategies import examples, scripts
from ..talk import Frame, Service

_LOST: Frame = {"type": "duologue.disconnected", "reason": "cut"}


def connection(prefix: str, *, ids: bool = True, **config: Any) -> list[Frame]:
    """One spoken turn of a connection; without ``ids`` the event ids are e1, e2, …"""
    service = Service(prefix)
    service.created(**config)
    service.spoken(f"{prefix}what time is it?")
    service.reply(f"{prefix}noon.", spoken=False)
    return service.frames if ids else renumbered(service.frames)


def renumbered(frames: Sequence[Frame]) -> list[Frame]:
    """The frames with the event ids of a service that counts from 1 again."""
    return [
        {**frame, "event_id": f"e{number}"} if "event_id" in frame else frame
        for number, frame in enumerate(frames, start=1)
    ]


def records(*parts: Sequence[Frame], numbered: bool, lost: bool = True) -> list[Record]:
    """The records of connections; numbered, their ends are in the log if ``lost``."""
    found: list[Record] = []
    for epoch, part in enumerate(parts):
        for frame in ([_LOST] if epoch and numbered and lost else []) + [*part]:
            before = epoch - 1 if frame is _LOST else epoch
            found.append(
                Record.of(
                    msgspec.json.encode(frame),
                    seq=len(found) + 1,
                    session="s",
                    dir=direction(frame),
                    at=1000.0 + 10 * epoch + 0.1 * part.index(frame)
                    if frame is not _LOST
                    else 1000.0 + 10 * epoch,
                    epoch=before if numbered else 0,
                )
            )
    kinds = [to_line(record, keep_audio=True) for record in found]
    return list(read_log(kinds))


def session(found: Sequence[Record]) -> Session:
    """The session after these records."""
    return fold(found).sessions["s"]


def comparable(it: Session) -> Session:
    """The session without the fields that say how its log is written."""
    return replace(
        it,
        connection=replace(it.connection, log_epoch=None, created_ids=(), reason=None),
        problems=tuple(each for each in it.problems if each.kind != "disconnected"),
        dedup=replace(it.dedup, events=0),
    )


def assert_equal(*parts: Sequence[Frame]) -> None:
    """The log without epochs folds like the log with them and the ends."""
    bare, numbered = (session(records(*parts, numbered=each)) for each in (False, True))
    assert bare.connection.epoch == len(parts) - 1
    assert view_of(bare) == view_of(numbered)
    assert comparable(bare) == comparable(numbered)


def view_of(it: Session) -> Any:
    """What an application sees."""
    return view(comparable(it))


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("count", [2, 3, 20])
def test_each_session_id_is_a_connection(count: int, ids: bool) -> None:
    """Also if the service counts its event ids from 1 again."""
    parts = [connection(f"{n}_", ids=ids, expires_at=5000 + n) for n in range(count)]
    bare = session(records(*parts, numbered=False))

    assert_equal(*parts)
    assert [line.text for line in select_transcripts(bare)] == [
        text for n in range(count) for text in (f"{n}_what time is it?", f"{n}_noon.")
    ]
    assert bare.connection.expires_at == 4999 + count
    assert bare.connection.status is SessionStatus.OPEN
    assert bare.dedup.duplicate == 0
    assert bare.problems == ()


def test_an_expiry_is_that_of_its_connection() -> None:
    """The next connection may have none."""
    parts = connection("a_", expires_at=5000), connection("b_")
    assert session(records(*parts, numbered=False)).connection.expires_at is None


def unfinished(prefix: str) -> list[Frame]:
    """A connection cut while the user speaks, and while a reply grows."""
    service = Service(prefix)
    service.created()
    service.spoken("hello")
    response_id = service.begin()
    delta = {"response_id": response_id, "item_id": f"{prefix}reply", "output_index": 0}
    service.send("response.output_text.delta", **delta, content_index=0, delta="Good")
    service.start_speech()
    return service.frames


def test_pending_work_of_the_previous_connection_ends() -> None:
    """Responses, items and the user's speech; applications are told."""
    before = fold(records(unfinished("a_"), numbered=False))
    (record, *_) = records(connection("b_"), numbered=False)
    after = reduce(before, record)
    old, new = before.sessions["s"], after.sessions["s"]

    assert_equal(unfinished("a_"), connection("b_"))
    assert old.responses.active is not None
    assert new.responses.active is None
    (response,) = new.responses.by_id.values()
    assert (response.status, response.reason) == ("incomplete", "disconnected")
    assert new.items["a_reply"].status == "incomplete"
    assert new.activity.speaking_item is None
    names = [notice.name for notice in notices(old, record, new)]
    assert names.count("response_done") == 1
    assert names.count("transcript") == 2
    assert apply(view(old), patch(old, new, record)) == view(new)


def test_a_response_in_flight_is_requested_again() -> None:
    """As after any other loss of the connection."""
    parts = [*connection("a_"), {"type": "response.create"}], connection("b_")[:1]
    assert_equal(*parts)
    found = records(*parts, numbered=False)
    before, after = fold(found[:-1]), fold(found)
    commands = react(before, found[-1], after)
    sent = [command.event.type for command in commands]  # type: ignore[union-attr]
    assert sent.count("conversation.item.create") == 2
    assert sent[-1] == "response.create"


@pytest.mark.parametrize(
    ("close", "status"),
    [
        ({"code": 1000}, SessionStatus.CLOSED),
        ({"code": 1006, "reason": "lost"}, SessionStatus.FAILED),
        (None, SessionStatus.CLOSED),
    ],
)
def test_lines_that_close_a_connection(close: Any, status: SessionStatus) -> None:
    """They end their own connection, and the next one opens the session again."""

    def lines(*parts: list[Frame], times: int) -> list[bytes]:
        found: list[bytes] = []
        for number, part in enumerate(parts, start=1):
            found += [msgspec.json.encode({"dir": "in", "event": e}) for e in part]
            if number <= times:
                found.append(msgspec.json.encode({"close": close}))
        return found

    parts = [unfinished("a_"), unfinished("b_"), connection("c_")]
    parts = [renumbered(part) for part in parts]
    closed = fold(read_log(lines(*parts, times=3))).sessions["log"]
    opened = fold(read_log(lines(*parts, times=2))).sessions["log"]

    assert closed.connection.status is status
    assert opened.connection.status is SessionStatus.OPEN
    assert opened.connection.epoch == closed.connection.epoch == 2
    epochs = [opened.items[key].placement.epoch for key in opened.conversation.order]
    assert epochs == [0, 0, 0, 1, 1, 1, 2, 2]
    responses = opened.responses
    statuses = [responses.by_id[key].status for key in responses.order]
    assert statuses == ["incomplete", "incomplete", "completed"]


@pytest.mark.parametrize("ids", [True, False])
def test_a_session_that_is_rejoined_has_one_connection(ids: bool) -> None:
    """Its `session.created` comes again, with the same session id."""
    frames = connection("a_")
    again = frames[0] if not ids else {**frames[0], "event_id": "again"}
    bare = session(records([*frames, again], numbered=False))
    assert bare.connection.epoch == 0
    assert bare.connection.created_ids == (frames[0]["session"]["id"],)


@pytest.mark.parametrize(
    ("close", "status"),
    [({"code": 1006}, SessionStatus.OPEN), (None, SessionStatus.CLOSED)],
)
def test_a_lost_session_that_is_rejoined_is_open(close: Any, status: Any) -> None:
    """Only if it was lost: late events do not open a closed session."""
    frames = connection("a_")
    events = [*frames, close, {**frames[0], "event_id": "again"}]
    lines = [
        msgspec.json.encode({"close": it} if it is close else {"event": it})
        for it in events
    ]
    it = fold(read_log(lines)).sessions["log"]
    assert it.connection.epoch == 0
    assert it.connection.status is status


def test_a_late_copy_begins_no_connection() -> None:
    """A copy of the first `session.created`, with and without its event id."""
    parts = connection("a_"), connection("b_"), connection("c_")
    found = records(*parts, numbered=False)
    before = fold(found)
    for late in (parts[0][0], parts[1][0]):
        without = {key: late[key] for key in late if key != "event_id"}
        for frame in (late, without):
            (copy,) = records([frame], numbered=False)
            after = reduce(before, copy).sessions["s"]
            assert after.connection == before.sessions["s"].connection


def test_local_facts_do_not_number_connections() -> None:
    """An application may record that it is connected, without the epoch."""
    opened = {"type": "duologue.connected"}
    parts = [[opened, *connection(f"{n}_", ids=False)] for n in range(3)]
    bare = session(records(*parts, numbered=False))
    assert bare.connection.epoch == 2
    assert len(select_transcripts(bare)) == 6
    assert bare.connection.status is SessionStatus.OPEN


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_log_may_begin_to_number_its_connections(epoch: int) -> None:
    """From the epoch in the state, or from the number of connections in the log."""
    parts = [connection(f"{n}_") for n in range(3)]
    bare = fold(records(*parts, numbered=False))
    more = records(connection("d_"), numbered=False)
    it = fold([replace(each, epoch=epoch) for each in more], bare).sessions["s"]
    assert it.connection.epoch == 3
    assert [it.items[key].placement.epoch for key in it.conversation.order] == [
        *(0, 0, 1, 1, 2, 2, 3, 3)
    ]


@pytest.mark.parametrize("facts", [False, True])
def test_numbered_connections_are_not_counted_again(facts: bool) -> None:
    """With local facts or without them, and while two connections overlap."""
    first, second = connection("a_", ids=False), connection("b_", ids=False)
    dial = [{"type": "duologue.connecting"}, {"type": "duologue.connected"}]
    parts = [dial + first, dial + second] if facts else [first, second]
    found = records(*parts, numbered=True, lost=False)
    late = replace(found[-1], epoch=0)
    for state in (fold(found), fold([*found, late])):
        assert state.sessions["s"].connection.epoch == 1
        assert state.sessions["s"].connection.log_epoch is None


def test_a_live_session_counts_its_connections_itself() -> None:
    """A service may greet it again under another id, on the same connection."""
    live = [
        {"type": "duologue.connecting"},
        {"type": "duologue.connected"},
        *connection("a_"),
        *connection("b_"),
    ]
    it = session(records(live, numbered=False))
    assert it.connection.epoch == 0
    assert it.connection.created_ids is None
    following = replace(records(live[:1], numbered=False)[0], epoch=1)
    begun = fold([*records(live, numbered=False), following]).sessions["s"]
    assert begun.connection.epoch == 1
    assert begun.connection.created_ids is None


def test_another_source_begins_no_connection() -> None:
    """A sideband may have a session id of its own."""
    found = records(connection("a_"), connection("b_"), numbered=False)
    sideband = replace(found[len(found) // 2], src="sideband")
    state = fold([*found[: len(found) // 2], sideband])
    assert state.sessions["s"].connection.epoch == 0


@pytest.mark.parametrize("kind", ["transcription", "translation"])
@pytest.mark.parametrize("ids", [True, False])
def test_other_kinds_of_sessions(kind: str, ids: bool) -> None:
    """Transcriptions and translations; the kind may change, too."""

    def part(prefix: str) -> list[Frame]:
        service = Service(prefix)
        service.created(type=kind)
        if kind == "transcription":
            service.spoken(f"{prefix}words")
        else:
            for side in ("input", "output"):
                service.send(
                    f"session.{side}_transcript.delta",
                    delta=f"{prefix}{side}. ",
                    elapsed_ms=100,
                )
        return service.frames if ids else renumbered(service.frames)

    parts = part("a_"), part("b_"), part("c_")
    assert_equal(*parts)
    bare = session(records(*parts, numbered=False))
    if kind == "transcription":
        texts = [line.text for line in select_transcripts(bare)]
        assert texts == ["a_words", "b_words", "c_words"]
    else:
        translation = bare.conversation.translation
        assert translation is not None
        assert str(translation.output) == "a_output. b_output. c_output. "
    assert_equal(connection("r_", ids=ids), part("a_"))


# --- Properties -----------------------------------------------------------------------

_LIFECYCLE = ("duologue.connecting", "duologue.connected", "duologue.disconnected")


def bare_frames(script: Script) -> list[Frame]:
    """The frames of a script up to its second connection, without its first facts."""
    frames = [dict(frame) for frame in script.frames]
    found: list[Frame] = []
    for frame in frames:
        if frame["type"] == "duologue.disconnected" or frame.get("successor"):
            break
        if frame["type"] not in _LIFECYCLE:
            found.append(frame)
    return found


def split(
    frames: list[Frame], places: Sequence[int], *, ids: bool
) -> list[list[Frame]]:
    """The frames in connections, each with its own session."""
    cuts = sorted({place % (len(frames) + 1) for place in places} | {0})
    parts: list[list[Frame]] = []
    for number, (start, end) in enumerate(
        zip(cuts, [*cuts[1:], len(frames)], strict=True)
    ):
        part = frames[start:end]
        if not part or part[0]["type"] != "session.created":
            created: Frame = {"type": "session.created", "event_id": f"hi_{number}"}
            config = {"id": f"other_{number}", "type": "realtime"}
            part = [{**created, "session": config}, *part]
        parts.append(part if ids else renumbered(part))
    return parts


_PLACES = st.lists(st.integers(0, 500), min_size=1, max_size=3)


@examples(120)
@given(scripts(3).map(bare_frames), _PLACES, st.booleans())
def test_any_split_of_a_conversation(
    frames: list[Frame], places: list[int], ids: bool
) -> None:
    """Cut anywhere, with unique and with repeated event ids."""
    assert_equal(*split(frames, places, ids=ids))


@examples(50)
@given(translations(), translations(), st.booleans())
def test_any_two_translations(
    first: list[Frame], second: list[Frame], ids: bool
) -> None:
    """Under other session ids."""
    parts: list[list[Frame]] = []
    for number, frames in enumerate((first, second)):
        part = [frame for frame in frames if frame["type"] not in _LIFECYCLE]
        part = [
            {**f, "session": {**f["session"], "id": f"sess_{number}"}}
            if f["type"] == "session.created"
            else f
            for f in part
            if not f["type"].startswith("duologue.")
        ]
        parts.append(part if ids else renumbered(part))
    assert_equal(*parts)


@examples(50)
@given(scripts(2).map(bare_frames), _PLACES, st.integers(0, 500))
def test_a_snapshot_continues_the_count(
    frames: list[Frame], places: list[int], place: int
) -> None:
    """As if the fold had not stopped."""
    found = records(*split(frames, places, ids=False), numbered=False)
    at = place % (len(found) + 1)
    continued = fold(found[at:], load(dump(fold(found[:at]))))
    assert dump(continued) == dump(fold(found))


@examples(50)
@given(scripts(2).map(bare_frames), _PLACES)
def test_views_follow_by_patches(frames: list[Frame], places: list[int]) -> None:
    """With the record, and without it."""
    state = State()
    shown: Any = None
    for record in records(*split(frames, places, ids=False), numbered=False):
        before, state = state, reduce(state, record)
        old, new = (each.sessions.get("s") for each in (before, state))
        if old is not None and new is not None:
            shown = apply(shown, patch(old, new, record))
            assert shown == apply(view(old), patch(old, new))
        else:
            shown = view(state.sessions["s"])
    assert shown is None or shown == view(state.sessions["s"])


@pytest.mark.parametrize("feed", ["bytes", "lines"])
def test_store_and_log_decode_the_next_connection_by_its_kind(feed: str) -> None:
    """A translation follows a conversation, with the same event ids."""
    frames = [
        *connection("a_", ids=False),
        *renumbered(
            [
                {
                    "type": "session.created",
                    "event_id": "",
                    "session": {"type": "translation", "id": "sess_t"},
                },
                {"type": "session.closed", "event_id": ""},
            ]
        ),
    ]
    store = Store()
    if feed == "bytes":
        for at, frame in enumerate(frames):
            store.feed("s", frame, at=float(at))
    else:
        lines = [msgspec.json.encode({"dir": "in", "event": it}) for it in frames]
        for record in read_log(lines, session="s"):
            store.dispatch(record)
    it = store.session("s")
    assert it is not None
    assert it.conversation.translation is not None
    assert it.conversation.translation.closed


# --- Event ids that are repeated without a new session --------------------------------


def problems(frames: Sequence[Frame]) -> list[str]:
    """The kinds of the problems after these frames on one connection."""
    found = session(records(list(frames), numbered=False)).problems
    return [problem.kind for problem in found]


def same_session(prefix: str) -> list[Frame]:
    """A connection whose service gives all sessions one id."""
    frames = connection(prefix, ids=False)
    frames[0] = {**frames[0], "session": {"id": "sess", "type": "realtime"}}
    return frames


@pytest.mark.parametrize(
    "second", [same_session, lambda prefix: same_session(prefix)[1:]]
)
def test_repeated_ids_of_other_events_are_a_problem(
    second: Callable[[str], list[Frame]],
) -> None:
    """It is named once, and says what to do."""
    frames = same_session("a_") + second("b_") + second("c_")
    it = session(records(frames, numbered=False))
    assert it.connection.epoch == 0
    (problem,) = it.problems
    assert problem.kind == "repeated_event_id"
    assert "b_item_" in problem.message
    assert "epoch" in problem.message


@examples(60)
@given(scripts(3), st.data())
def test_a_service_that_repeats_events_is_no_problem(
    script: Script, data: st.DataObject
) -> None:
    """The same event under the same id: one, some, or all of them, at any time."""
    frames = [frame for frame in bare_frames(script) if "event_id" in frame]
    copied: list[Frame] = []
    for place, frame in enumerate(frames):
        copied.append(frame)
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, place))
            copied += frames[start : place + 1]
    assert "repeated_event_id" not in problems(copied)
