"""The status of a session, its configuration, its problems and its connections."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import (
    Problem,
    Session,
    SessionKind,
    fold,
    select_is_connected,
    select_problems,
)
from duologue.core.state.model import Activity

from ..talk import Frame, Service, fold_frames, to_record, to_records


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
