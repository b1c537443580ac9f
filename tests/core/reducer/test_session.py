"""The status of a session, its configuration, its problems and its connections."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from duologue.core import (
    Problem,
    Record,
    Session,
    SessionKind,
    events,
    fold,
    select_is_connected,
    select_problems,
)
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT
from duologue.core.state.model import Activity, Connection, Dialing

from ..talk import POLICY, Frame, Service, changed, fold_frames, to_record, to_records


def told(*facts: str | tuple[str, int]) -> Session:
    """The session after these local facts, each of epoch 0 or of the given one."""
    pairs: list[tuple[str, int]]
    pairs = [(fact, 0) if isinstance(fact, str) else fact for fact in facts]
    frames: dict[str, Frame] = {
        "connecting": {"type": "duologue.connecting"},
        "connected": {"type": "duologue.connected"},
        "left": {"type": "duologue.disconnected", "expected": True},
        "lost": {"type": "duologue.disconnected", "reason": "gone"},
        "cut": {"type": "duologue.disconnected", "reason": "gone", "retrying": True},
        "closed": {"type": "duologue.closed"},
        "created": {"type": "session.created", "session": {"type": "realtime"}},
    }
    records = [to_record(frames[fact], n, epoch=e) for n, (fact, e) in enumerate(pairs)]
    return fold(records).sessions["s"]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (["connecting"], "connecting"),
        (["connecting", "connected"], "open"),
        (["created"], "open"),
        (["connecting", "connected", "left"], "closed"),
        (["connecting", "connected", "lost"], "failed"),
        (["connecting", "lost"], "failed"),
        (["connecting", "connected", "closed"], "closed"),
        (["connected", "lost", "closed"], "failed"),
        (["connected", "closed", "lost"], "closed"),
        (["connected", "closed", "connected"], "closed"),
        (["connected", "lost", "created"], "failed"),
        (["connected", "lost", ("connecting", 1)], "reconnecting"),
        (["connected", "lost", ("connecting", 1), ("connected", 1)], "open"),
        (["connected", "lost", ("connected", 1)], "open"),
        # A retry.
        (["connected", "cut"], "reconnecting"),
        (["connecting", "cut"], "reconnecting"),
        (["connected", "cut", ("connecting", 1)], "reconnecting"),
        (["connected", "cut", ("connecting", 1), ("cut", 1)], "reconnecting"),
        (["connected", "cut", ("connecting", 1), ("connected", 1)], "open"),
        (["connected", "cut", ("connecting", 1), ("lost", 1)], "failed"),
        (["connected", "cut", "left"], "closed"),
        # A hand-over: the old connection ends after the new one began.
        (["connected", ("connecting", 1), ("connected", 1), "lost"], "open"),
        (["connected", ("connecting", 1), ("connected", 1), "left"], "open"),
        ([("connected", 1), "connecting"], "open"),
        ([("connected", 1), "connected", "created"], "open"),
        (["closed", "connecting"], "connecting"),
    ],
)
def test_the_status(facts: list[Any], status: str) -> None:
    """The newest connection sets it; an ended session must reconnect to reopen."""
    session = told(*facts)

    assert status == session.connection.status
    assert (status == "open") is select_is_connected(session)


def test_a_lost_connection_is_a_problem() -> None:
    """A lost connection is a problem with its reason; an expected end is not."""
    assert (Problem("disconnected", "gone", at=0.0),) == select_problems(
        told("connected", "lost")
    )
    assert select_problems(told("connected", "left")) == ()


def test_attempts_that_fail_are_one_problem() -> None:
    """The loss and the final failure are problems; failed attempts between are not."""
    gone = Problem("disconnected", "gone", at=0.0)
    cut = told("connected", "cut", ("connecting", 1), ("cut", 1), ("connecting", 2))
    end = told("connected", "cut", ("connecting", 1), ("lost", 1))

    assert (gone,) == select_problems(cut)
    assert [gone.message] * 2 == [problem.message for problem in select_problems(end)]


def test_epochs_never_go_back() -> None:
    """Facts of an earlier connection do not change the epoch."""
    assert told(("connected", 2), ("connecting", 1), "created").connection.epoch == 2


def test_the_configuration_in_force() -> None:
    """`session.created` and `session.updated` carry the full configuration."""
    service = Service()
    service.created(id="sess_1", expires_at=5000, instructions="a", voice="x")
    service.send("session.updated", session={"type": "realtime", "instructions": "b"})
    connection = fold_frames(*service.frames).connection

    assert (
        connection.server_id,
        connection.expires_at,
        connection.kind,
    ) == ("sess_1", 5000.0, SessionKind.REALTIME)
    assert getattr(connection.confirmed, "instructions", None) == "b"


@pytest.mark.parametrize("session", [..., None, {}, 5, [], "realtime"])
def test_a_session_that_says_nothing(session: Any) -> None:
    """Without a configuration, ``session.created`` only opens the session."""
    service = Service()
    service.created(instructions="a")
    frame: Frame = {"type": "session.created", "session": session}
    if session is ...:
        del frame["session"]
    alone = fold_frames(frame).connection
    after = fold_frames(*service.frames, frame)

    assert (alone.status, alone.confirmed) == ("open", None)
    assert fold_frames(*service.frames).connection == after.connection


def test_zero_is_no_expiry() -> None:
    """``expires_at: 0``, as echoed by client_secrets, means no expiry."""
    service = Service()
    service.created(expires_at=0)

    assert fold_frames(*service.frames).connection.expires_at is None


def test_a_transcription_session() -> None:
    """The type in ``session.created`` sets the kind of the session."""
    frame = {"type": "session.created", "session": {"type": "transcription", "id": "t"}}
    connection = fold_frames(frame).connection

    assert (connection.kind, connection.server_id) == (SessionKind.TRANSCRIPTION, "t")


def test_a_translation_session() -> None:
    """The kind and the expiry of a translation are in the connection."""
    session = {"type": "translation", "id": "t", "expires_at": 7, "model": "m"}
    connection = fold_frames({"type": "session.created", "session": session}).connection

    assert (
        connection.status,
        connection.kind,
        connection.server_id,
        connection.expires_at,
    ) == ("open", SessionKind.TRANSLATION, "t", 7.0)


def test_a_translation_of_an_older_epoch() -> None:
    """``session.created`` of an earlier connection is ignored."""
    frame = {"type": "session.created", "session": {"type": "translation"}}
    session = fold(
        [to_record({"type": "duologue.connected"}, epoch=1), to_record(frame)]
    ).sessions["s"]

    assert session.connection.kind == SessionKind.REALTIME


def test_the_configuration_asked_for() -> None:
    """It is kept as text, so changing the record's event does not change the state."""
    wish = {"type": "session.update", "session": {"voice": "x", "instructions": "a"}}
    record = to_record({"type": "duologue.requested", "event": wish})
    session = fold([record]).sessions["s"]
    record.event.event["session"]["voice"] = "y"  # type: ignore[attr-defined]

    assert session.connection.requested == '{"instructions":"a","voice":"x"}'


@pytest.mark.parametrize(
    "event", [{}, {"type": "response.create"}, {"type": "session.update", "session": 5}]
)
def test_other_wishes(event: Frame) -> None:
    """Only ``session.update`` sets the requested configuration."""
    session = fold_frames({"type": "duologue.requested", "event": event})

    assert session.connection.requested is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "m", "code": "c"}, ("m", "c")),
        ({"code": "c", "type": "t"}, ("c", "c")),
        ({"type": "t"}, ("t", None)),
        ({}, ("unknown error", None)),
        (None, ("unknown error", None)),
        ({"message": 5, "code": 500}, ("unknown error", None)),
    ],
)
def test_errors_are_problems(error: Any, expected: tuple[str, str | None]) -> None:
    """The problem has the message, code or type; the session stays open."""
    session = fold_frames(
        {"type": "duologue.connected"}, {"type": "error", "error": error}
    )
    (problem,) = select_problems(session)

    assert expected == (problem.message, problem.code)
    assert select_is_connected(session)


def test_the_last_hundred_problems() -> None:
    """Only the last hundred problems are kept."""
    frames = [{"type": "error", "error": {"message": str(n)}} for n in range(250)]

    assert [str(n) for n in range(150, 250)] == [
        problem.message for problem in select_problems(fold_frames(*frames))
    ]


def test_session_expiry() -> None:
    """The error gives the reason, and the disconnect after it ends the session."""
    service = Service()
    service.created()
    service.reply("good")
    service.send("error", error={"code": "session_expired", "message": "60 minutes"})
    frames = [*service.frames, {"type": "duologue.disconnected", "code": 1001}]
    session = fold(to_records(frames)).sessions["s"]

    assert session.connection.status == "failed"
    assert [p.code for p in select_problems(session)] == ["session_expired", None]
    assert str(next(iter(session.items.values())).parts[0].text) == "good"


def test_what_a_new_connection_brings_stands_behind() -> None:
    """Items of a new connection follow all existing ones."""
    service = Service()
    first, last = service.typed("one"), service.typed("two")
    records = to_records(service.frames)
    records.append(to_record({"type": "duologue.connecting"}, 9, epoch=1))
    added = {"type": "message", "role": "user", "id": "new", "content": []}
    frame = {"type": "conversation.item.added", "item": added, "previous_item_id": None}
    conversation = (
        fold([*records, to_record(frame, 10, epoch=1)]).sessions["s"].conversation
    )

    assert (conversation.epoch_boundary, [*conversation.order]) == (
        last,
        [first, last, "new"],
    )


# --- A hand-over: two connections at once --------------------------------------

SPEAKS: Frame = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
TYPED: Frame = {
    "type": "message",
    "role": "user",
    "status": "completed",
    "content": [{"type": "input_text", "text": "x"}],
}
RESPONSE: Frame = {"id": "r", "conversation_id": "c"}
WORDS: Frame = {"response_id": "r", "item_id": "a", "delta": "Hello"}


def handed_over(*frames: tuple[Frame, int]) -> Session:
    """The session after frames, each with its epoch, once both connections are open."""
    records = [
        to_record({"type": "duologue.connected"}, 1, at=1.0),
        to_record({"type": "duologue.connecting"}, 2, at=2.0, epoch=1),
        to_record({"type": "duologue.connected"}, 3, at=3.0, epoch=1),
    ]
    for seq, (frame, epoch) in enumerate(frames, start=4):
        records.append(to_record(frame, seq, at=float(seq), epoch=epoch))
    return fold(records).sessions["s"]


LEFT: Frame = {"type": "duologue.disconnected", "expected": True}


def test_what_comes_by_the_old_connection_goes_with_it() -> None:
    """A response of the old connection ends with it."""
    session = handed_over(
        ({"type": "response.created", "response": RESPONSE}, 0),
        ({"type": "response.output_text.delta", **WORDS}, 0),
        (LEFT, 0),
    )
    response, item = session.responses.by_id["r"], session.items["a"]

    assert (response.status, response.epoch, session.responses.active) == (
        "incomplete",
        0,
        None,
    )
    assert (item.status, item.placement.epoch, item.parts[0].final) == (
        "incomplete",
        0,
        True,
    )


def test_nobody_speaks_to_a_connection_that_is_gone() -> None:
    """The end of the old connection stops only its own speech and playback."""
    old = [(SPEAKS, 0), ({"type": "output_audio_buffer.started", **WORDS}, 0)]
    created: Frame = {"type": "response.created", "response": RESPONSE}
    gone = handed_over((created, 0), *old, (LEFT, 0)).activity
    new = [(frame, 1) for frame, _ in old]
    going = handed_over((created, 1), *new, (LEFT, 0)).activity

    assert (gone.speaking_item, gone.playing) == (None, None)
    assert (going.speaking_item, going.playing) == ("u", "r")


def test_what_nobody_is_left_to_write_down_is_closed() -> None:
    """Open lines of the user end with their connection and keep their text."""
    delta = "conversation.item.input_audio_transcription.delta"
    words: Frame = {"type": delta, "item_id": "u", "delta": "Hel"}
    committed: Frame = {"type": "input_audio_buffer.committed", "item_id": "v"}
    finished: Frame = {"type": "conversation.item.done", "item": {**TYPED, "id": "w"}}
    audio: Frame = {**TYPED, "id": "x", "content": [{"type": "input_audio"}]}
    session = handed_over(
        (SPEAKS, 0),
        (words, 0),
        (committed, 0),
        (finished, 0),
        ({"type": "conversation.item.done", "item": audio}, 0),
        ({**SPEAKS, "item_id": "y"}, 1),
        (LEFT, 0),
    )
    lines = {
        item_id: (item.status, "".join(str(part.text) for part in item.parts))
        for item_id, item in session.items.items()
    }
    times = {i: item.placement.finished_at for i, item in session.items.items()}

    assert lines == {
        "u": ("incomplete", "Hel"),
        "v": ("incomplete", ""),
        "w": ("completed", "x"),
        "x": ("completed", ""),
        "y": ("in_progress", ""),
    }
    assert times == {"u": 10.0, "v": 10.0, "w": 7.0, "x": 8.0, "y": None}
    assert [i for i in "uvwxy" if all(p.final for p in session.items[i].parts)] == [
        *("uvwx"),
        "y",
    ]
    assert session.items["y"].parts == ()


def test_lines_of_a_connection_before_stay_as_they_are() -> None:
    """The end of a connection does not change closed or deleted lines."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    session = handed_over((SPEAKS, 0), (deleted, 0), (LEFT, 0), (LEFT, 1))

    assert session.items["u"].status == "deleted"
    assert session.connection.status == "closed"


def test_a_late_item_of_the_old_connection_stands_before_the_new() -> None:
    """Late items of the old connection precede those of the new one."""

    def added(item_id: str, previous: str | None) -> Frame:
        item = {**TYPED, "id": item_id}
        kind = "conversation.item.added"
        return {"type": kind, "item": item, "previous_item_id": previous}

    session = handed_over(
        (added("a", None), 0),
        (added("b", "a"), 0),
        (added("a", None), 1),
        (added("d", "a"), 1),
        (added("c", "b"), 0),
    )

    assert (
        "".join(session.conversation.order),
        session.conversation.epoch_boundary,
    ) == (
        "abcd",
        "c",
    )


def test_an_end_that_nobody_told_of() -> None:
    """The end of the new connection also ends open responses of the old one."""
    created: Frame = {"type": "response.created", "response": RESPONSE}
    other: Frame = {**created, "response": {**RESPONSE, "id": "s"}}
    session = handed_over((created, 0), (other, 1), (LEFT, 1))

    assert [response.status for response in session.responses.by_id.values()] == [
        "incomplete",
        "incomplete",
    ]


def test_the_time_to_live_is_that_of_a_connection() -> None:
    """A new connection clears `expires_at` until its service sends one."""
    created: Frame = {
        "type": "session.created",
        "session": {"type": "realtime", "id": "sess", "expires_at": 3600},
    }
    records = [to_record(created)]
    before = fold(records).sessions["s"].connection.expires_at
    records.append(to_record({"type": "duologue.connecting"}, 2, epoch=1))
    after = fold(records).sessions["s"].connection.expires_at

    assert (before, after) == (3600.0, None)


@pytest.mark.parametrize(
    ("times", "expected"),
    [([], None), ([1.0], 1.0), ([1.0, 2.0], 2.0), ([2.0, 1.0], 2.0), ([None], None)],
)
def test_the_time_of_the_last_tick(times: list[float], expected: float | None) -> None:
    """The time of the last tick never decreases."""
    frame = {"type": "duologue.tick"}
    state = fold(to_record(frame, at=at) for at in times)
    activity = state.sessions.get("s", Session("s")).activity

    assert Activity(last_tick_at=expected) == activity


# --- A live session: its connections and the attempts to open them ---------------


def fact(name: str, epoch: int = 0, at: float = 0.0, **fields: Any) -> Record:
    return to_record({"type": f"duologue.{name}", **fields}, at=at, epoch=epoch)


def created(epoch: int = 0, at: float = 0.0, **config: Any) -> Record:
    session = {"type": "realtime", **config}
    return to_record(
        {"type": "session.created", "session": session}, at=at, epoch=epoch
    )


BEGIN = fact("connecting", policy=POLICY)
LIVE = [BEGIN, fact("connected", at=1.0), created(id="one", expires_at=900)]
NEXT = fact("connecting", 1, 50.0, successor=True)
READY = fact("connected", 1, 51.0, successor=True)
SWITCHED = fact("switched", 1, 53.0)
LOSS: Frame = {"lost": True, "can_repeat": True, "reason": "gone", "chance": 0.5}
RETRY: Frame = {
    "can_repeat": True,
    "reason": "gone",
    "chance": 0.5,
    "retry_after": 7.0,
}
FAILURE = events.ConnectFailed(reason="gone", can_repeat=True, chance=0.5)
GONE = fact("disconnected", at=100.0, **LOSS)


def after(*records: Record) -> Connection:
    return fold(records).sessions["s"].connection


def dialing(*records: Record) -> Dialing | None:
    return after(*records).dialing


def kept(records: list[Record], late: Record) -> list[str]:
    """The nodes that a late fact changes."""
    before = fold(records)
    return changed(before.sessions["s"], fold([late], before).sessions["s"])


def test_the_first_connection_of_a_live_session() -> None:
    """It is being connected, then open; the first one needs no greeting."""
    connecting = after(BEGIN)
    opened = after(BEGIN, fact("connected", at=1.0))

    assert connecting.policy == events.ConnectPolicy(**POLICY)
    assert connecting.dialing == Dialing(0, 1, running=True, since=0.0)
    assert (opened.status, opened.dialing) == ("open", None)
    assert (opened.opened_at, opened.greeted) == (1.0, True)
    assert (opened.failures, opened.since) == (0, None)


def test_attempts_that_fail() -> None:
    """They are counted from the first; a key is fetched again once in a series."""
    refused = events.ConnectFailed(status=401, renews=True)
    failed = fact("connect_failed", at=1.0, status=401, renews=True)
    once = dialing(BEGIN, failed)
    again = fact("connecting", at=2.0, attempt=2, new_key=True)
    third = fact("connecting", at=4.0, attempt=3)

    assert once == Dialing(0, 1, since=0.0, failures=1, failure=refused, failed_at=1.0)
    assert dialing(BEGIN, failed, again) == Dialing(
        0, 2, running=True, new_key=True, since=0.0, failures=1
    )
    assert dialing(
        *(BEGIN, failed, again),
        *(fact("connect_failed", at=3.0, attempt=2), third),
    ) == Dialing(0, 3, running=True, new_key=True, since=0.0, failures=2)


@pytest.mark.parametrize(
    ("records", "late"),
    [
        # The result of another attempt, of another connection, or a second one.
        ([BEGIN], fact("connect_failed", attempt=2)),
        ([BEGIN], fact("connect_failed", 1)),
        ([BEGIN, fact("connect_failed")], fact("connect_failed")),
        ([*LIVE, NEXT], fact("connected", 1, attempt=2, successor=True)),
        ([*LIVE, NEXT, READY], fact("connected", 1, successor=True)),
        (LIVE, fact("connect_failed")),
        (LIVE, READY),
        # A switch to a connection that is not connected, or to no successor.
        (LIVE, SWITCHED),
        ([*LIVE, NEXT], SWITCHED),
        ([*LIVE, NEXT, READY], fact("switched", 2)),
        ([BEGIN, NEXT, READY], SWITCHED),
        # The loss is reported twice.
        ([*LIVE, GONE], GONE),
        # The end of a connection that is not dialled.
        (LIVE, fact("disconnected", 1, **LOSS)),
        ([*LIVE, NEXT], fact("disconnected", 2, **LOSS)),
        # The session has ended before it was connected.
        ([BEGIN, fact("closed")], fact("connected")),
        # Facts of an earlier connection.
        ([*LIVE, NEXT, READY, SWITCHED], fact("connected")),
        ([*LIVE, NEXT, READY, SWITCHED], fact("connecting")),
        ([*LIVE, NEXT, READY, SWITCHED], created(id="late")),
    ],
)
def test_late_facts_of_connections(records: list[Record], late: Record) -> None:
    """They change nothing."""
    assert kept(records, late) == []


@pytest.mark.parametrize(
    ("fields", "status", "problems"),
    [
        (LOSS, "reconnecting", ["gone"]),
        ({**LOSS, "reason": None}, "reconnecting", ["the connection was lost"]),
        ({**LOSS, "can_repeat": False}, "failed", ["gone"]),
        ({**LOSS, "lost": False}, "failed", ["gone"]),
        ({**LOSS, "expected": True}, "closed", []),
    ],
)
def test_a_live_connection_that_ends(
    fields: Frame, status: str, problems: list[str]
) -> None:
    """Another is made after a loss, if another attempt is possible."""
    session = fold([*LIVE, fact("disconnected", at=100.0, **fields)]).sessions["s"]
    found = session.connection.dialing

    assert session.connection.status == status
    assert [problem.message for problem in session.problems] == problems
    assert (found and found.epoch) == (1 if status == "reconnecting" else None)


def test_a_session_that_does_not_reconnect() -> None:
    """A loss ends it; so do a loss of a session without a policy, and a closing."""
    policy = {**POLICY, "reconnects": False}
    once = [fact("connecting", policy=policy), fact("connected")]
    closing = fold([*LIVE, fact("closing", by="client"), GONE]).sessions["s"]

    assert (after(*once, GONE).status, after(*once, GONE).dialing) == ("failed", None)
    assert after(fact("connected"), GONE).status == "failed"
    assert (closing.connection.closing, closing.connection.status) == (
        "client",
        "closed",
    )
    assert closing.problems == ()


@pytest.mark.parametrize(
    ("lost_at", "expected"),
    [
        # Soon: the series goes on. Later: another one begins.
        (131.0, Dialing(2, since=100.0, failures=1, failure=FAILURE, failed_at=131.0)),
        (132.0, Dialing(2, since=132.0, failures=0, failure=FAILURE, failed_at=132.0)),
    ],
)
def test_connections_that_do_not_last(lost_at: float, expected: Dialing) -> None:
    """The patience and the back-off count on until a connection is steady."""
    again = [fact("connecting", 1, 101.0), fact("connected", 1, 102.0)]
    opened = after(*LIVE, GONE, *again)
    lost = fact("disconnected", 1, lost_at, **LOSS)

    assert dialing(*LIVE, GONE) == Dialing(
        1, since=100.0, failure=FAILURE, failed_at=100.0
    )
    assert dialing(*LIVE, GONE, again[0]) == Dialing(1, 1, running=True, since=100.0)
    assert (opened.opened_at, opened.failures, opened.since) == (102.0, 1, 100.0)
    assert opened.greeted is False
    assert after(*LIVE, GONE, *again, created(1)).greeted is True
    assert dialing(*LIVE, GONE, *again, lost) == expected


def test_frames_of_a_connection_that_was_lost() -> None:
    """They do not open the session again."""
    connection = after(*LIVE, GONE, created(id="late"))

    assert (connection.status, connection.server_id) == ("reconnecting", "late")


def test_a_successor() -> None:
    """What its service sends first is kept until it carries the session."""
    configured = created(1, 52.0, id="two", expires_at=3000, instructions="b")
    waiting = after(*LIVE, NEXT, READY, configured)
    used = after(*LIVE, NEXT, READY, configured, SWITCHED)
    config = events.RealtimeSessionConfig(id="two", expires_at=3000, instructions="b")

    assert dialing(*LIVE, NEXT) == Dialing(1, 1, running=True, since=50.0)
    assert (waiting.status, waiting.epoch, waiting.server_id) == ("open", 0, "one")
    assert waiting.dialing == Dialing(
        *(1, 1),
        since=50.0,
        connected_at=51.0,
        greeted=True,
        server_id="two",
        expires_at=3000.0,
        confirmed=config,
    )
    assert (used.status, used.epoch, used.dialing) == ("open", 1, None)
    assert (used.server_id, used.expires_at) == ("two", 3000.0)
    assert used.confirmed == config
    assert (used.opened_at, used.greeted) == (51.0, True)
    assert (used.failures, used.since) == (1, None)


def test_a_successor_that_says_nothing_of_itself() -> None:
    """The configuration and the id stay; the expiry is that of a connection."""
    empty = to_record({"type": "session.created", "session": None}, epoch=1)
    silent = after(*LIVE, NEXT, READY, SWITCHED)
    greeted = after(*LIVE, NEXT, READY, empty, SWITCHED)

    assert (silent.greeted, greeted.greeted) == (False, True)
    assert {each.server_id for each in (silent, greeted)} == {"one"}
    assert {each.expires_at for each in (silent, greeted)} == {None}
    assert silent.confirmed == greeted.confirmed == after(*LIVE).confirmed


def test_a_successor_of_another_kind() -> None:
    """The kind of the session is that of the connection in use."""
    records = [*LIVE, NEXT, READY, created(1, type="transcription", id="t")]

    assert after(*records).kind is SessionKind.REALTIME
    assert after(*records, SWITCHED).kind is SessionKind.TRANSCRIPTION


def test_a_successor_of_a_connection_that_was_lost() -> None:
    """It is used, also while it connects and if nothing else could be repeated."""
    lost = fact("disconnected", at=52.0, lost=True)
    connecting = after(*LIVE, NEXT, lost)
    used = after(*LIVE, NEXT, READY, lost, SWITCHED)

    assert connecting.status == "reconnecting"
    assert connecting.dialing == Dialing(1, 1, running=True, since=52.0)
    assert (used.status, used.since, used.failures) == ("open", 52.0, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            LOSS,
            Dialing(1, 1, since=50.0, failures=1, failure=FAILURE, failed_at=60.0),
        ),
        (
            {"reason": "gone", "chance": 0.5, "expected": True},
            Dialing(1, 1, since=None, failures=0, failure=FAILURE, failed_at=60.0),
        ),
        (
            {"reason": "bye"},
            Dialing(
                *(1, 1),
                since=50.0,
                failures=1,
                failure=events.ConnectFailed(reason="bye"),
                failed_at=60.0,
            ),
        ),
    ],
)
def test_a_successor_that_ends(fields: Frame, expected: Dialing) -> None:
    """The session stays open; one that was discarded begins another series."""
    end = fact("disconnected", 1, 60.0, **fields)
    session = fold([*LIVE, NEXT, READY, end]).sessions["s"]

    assert (session.connection.status, session.problems) == ("open", ())
    assert session.connection.dialing == expected


@pytest.mark.parametrize(
    ("end", "is_kept"),
    [
        (fact("disconnected", at=60.0, reason="gone"), True),
        (fact("disconnected", at=60.0, expected=True), True),
        (fact("closed", at=60.0), False),
    ],
)
def test_a_session_that_ends_with_a_successor(end: Record, is_kept: bool) -> None:
    """The successor must be disconnected too; then nothing is left."""
    records = [*LIVE, NEXT, READY, end]
    found = dialing(*records)

    assert (found is not None and found.epoch == 1) is is_kept
    assert dialing(*records, fact("disconnected", 1, 61.0, expected=True)) is None


def test_a_session_that_goes_on_in_another_process() -> None:
    """What the first process did not record is made up for: the loss, and a problem."""
    request = fact("requested", event={"type": "response.create"})
    sent = to_record({"type": "response.create"}, dir="out")
    begins = fact("connecting", 1, 200.0, policy=POLICY)
    session = fold([*LIVE, request, sent, fact("closing"), begins]).sessions["s"]
    connection = session.connection

    assert session.problems == (
        Problem("disconnected", "the session was interrupted", at=200.0),
    )
    assert session.responses.queued == '{"type":"response.create"}'
    assert (connection.status, connection.epoch) == ("reconnecting", 1)
    assert (connection.opened_at, connection.closing) == (None, None)
    assert connection.dialing == Dialing(1, 1, running=True, since=200.0)


def test_a_session_that_goes_on_after_its_end() -> None:
    """It begins like a new one, without a problem."""
    begins = fact("connecting", 1, 200.0, policy=POLICY)
    session = fold([*LIVE, NEXT, fact("closed"), begins]).sessions["s"]

    assert (session.connection.status, session.problems) == ("reconnecting", ())
    assert session.connection.dialing == Dialing(1, 1, running=True, since=200.0)


def test_a_session_that_is_closed_before_it_connects() -> None:
    """The first record does not undo it."""
    assert after(fact("closing"), BEGIN).closing == "application"


@pytest.mark.parametrize(("is_open", "expected"), [(True, None), (False, 1.0)])
def test_only_an_open_session_waits(is_open: bool, expected: float | None) -> None:
    """A tick ends no wait while there is no connection: the service cannot answer."""
    records = [
        *([fact("connected")] if is_open else []),
        to_record({"type": "response.create"}, dir="out", at=1.0),
        fact("tick", at=1.0 + REQUEST_TIMEOUT),
    ]

    assert fold(records).sessions["s"].responses.waiting_since == expected


def test_the_end_of_a_connection_that_was_replaced() -> None:
    """It is not to be closed any more; the present one stays."""
    used = after(*LIVE, NEXT, READY, SWITCHED)
    ended = after(*LIVE, NEXT, READY, SWITCHED, fact("disconnected", expected=True))

    assert (used.replaced, ended.replaced) == (0, None)
    assert ended == replace(used, replaced=None)


def test_a_loss_after_a_failed_attempt_at_a_hand_over() -> None:
    """The delay after that attempt goes on."""
    failed = fact("connect_failed", 1, 60.0, successor=True, **RETRY)
    lost = fact("disconnected", at=61.0, **LOSS)

    assert dialing(*LIVE, NEXT, failed, lost) == Dialing(
        *(1, 1),
        since=61.0,
        failures=1,
        failure=replace(FAILURE, retry_after=7.0),
        failed_at=60.0,
    )


def test_connections_that_the_log_does_not_number() -> None:
    """Another session id begins the next epoch, with the work of the last one ended.

    The same id again, at the end of the log so far, is that of a sideband that
    joined the session again.
    """
    begins: Frame = {"type": "response.created", "response": {"id": "r"}}
    first = fold([created(id="one"), to_record(begins)]).sessions["s"]
    second = fold([created(id="two")], fold([created(id="one"), to_record(begins)]))
    rejoined = fold([created(id="two")], second).sessions["s"].connection

    assert (first.connection.epoch, first.responses.active) == (0, "r")
    session = second.sessions["s"]
    assert (session.connection.epoch, session.responses.active) == (1, None)
    assert (session.connection.server_id, session.connection.status) == ("two", "open")
    assert (rejoined.epoch, rejoined.server_id, rejoined.status) == (1, "two", "open")


def test_a_greeting_of_a_successor_that_was_not_used() -> None:
    """It is late, and changes nothing."""
    assert kept(LIVE, created(1, id="two")) == []
    failed = fact("connect_failed", 1, 60.0, successor=True, **LOSS)
    assert kept([*LIVE, NEXT, failed], created(2, id="three")) == []


@pytest.mark.parametrize(
    ("server_id", "rejoined"), [("one", True), ("two", False), ("", True)]
)
def test_a_sideband_that_joins_its_session_again(
    server_id: str, rejoined: bool
) -> None:
    """Unless the service names another session in its greeting."""
    again = [GONE, fact("connecting", 1, 101.0), fact("connected", 1, rejoins=True)]
    greeted = after(*LIVE, *again, created(1, id=server_id))

    assert (greeted.greeted, greeted.rejoined) == (True, rejoined)
