"""Two connections at once: the records of one answer nothing of the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec import structs
from msgspec.structs import asdict

from duologue.core import Record, Session, fold, reduce
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT
from duologue.core.selectors.reply import select_reply
from duologue.core.testing.stream import Stream

from ..strategies import HOSTILE, enough
from ..talk import Frame, message, to_record
from .test_session import LIVE, NEXT, READY, SWITCHED

ASKED: Frame = {
    "type": "duologue.requested",
    "event": {"type": "response.create"},
    "item_id": "i",
}
CREATE: Frame = {"type": "response.create", "event_id": "c1"}
UPDATE: Frame = {
    "type": "session.update",
    "event_id": "u1",
    "session": {"type": "realtime", "instructions": "x"},
}
CONFIG: Frame = {**UPDATE, "event_id": "configuration"}
UPDATED: Frame = {"type": "session.updated", "session": {"type": "realtime"}}
CREATED: Frame = {
    "type": "response.created",
    "response": {"id": "old", "conversation_id": "c"},
}
DONE: Frame = {**CREATED, "type": "response.done"}
SPEAKS: Frame = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
STOPS: Frame = {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}
COMMITTED: Frame = {"type": "input_audio_buffer.committed", "item_id": "u"}


def error(**fields: Any) -> Frame:
    return {"type": "error", "error": {"message": "no", **fields}}


def out(frame: Frame, epoch: int = 0, at: float = 60.0) -> Record:
    return to_record(frame, dir="out", epoch=epoch, at=at)


def into(frame: Frame, epoch: int = 0, at: float = 60.0) -> Record:
    return to_record(frame, epoch=epoch, at=at)


#: A message was asked on the second connection, and its configuration was changed.
OVER = [*LIVE, NEXT, READY, SWITCHED]
BUSY = [*OVER, into(ASKED, 1), out(CREATE, 1), out(UPDATE, 1)]
#: The user speaks on the second connection.
TURN = [*BUSY, into({**SPEAKS, "item_id": "v"}, 1)]


def session_after(*records: Record) -> Session:
    return fold(records).sessions["s"]


def requests(session: Session) -> dict[str, Any]:
    """The requests, the configuration and the turn of the present connection."""
    responses = asdict(session.responses)
    del responses["by_id"], responses["order"]
    activity, conversation = session.activity, session.conversation
    return {
        **responses,
        **asdict(session.connection),
        "turn": (activity.speaking_item, activity.unanswered_item),
        "last_output": conversation.last_output,
    }


@pytest.mark.parametrize("before", [BUSY, TURN])
@pytest.mark.parametrize(
    "late",
    [
        [into(CREATED)],
        [into(CREATED), into(DONE)],
        [into(DONE)],
        [into({"type": "response.created", "response": {"conversation_id": "c"}})],
        [into(error(code="conversation_already_has_active_response"))],
        [into(error(code="bad_response_create"))],
        [into(error(param="session.instructions"))],
        [into(error(event_id="c1")), into(error(event_id="u1"))],
        [into(error(code="session_expired"))],
        [into(UPDATED)],
        [out(CREATE), out(UPDATE)],
    ],
)
def test_a_replaced_connection_answers_nothing(
    before: list[Record], late: list[Record]
) -> None:
    """Its frames come late; the requests of the present connection still wait."""
    first = session_after(*before)

    assert requests(session_after(*before, *late)) == requests(first)


@enough
@given(HOSTILE)
def test_any_frames_of_a_replaced_connection(stream: Stream) -> None:
    """Whatever it sends and was sent, the present requests still wait.

    A function output is one of the session, and the present service answers it.
    """
    state = fold(TURN)
    first = requests(state.sessions["s"])
    for record in stream:
        if record.dir != "local" and record.session == "s":
            late = structs.replace(record, epoch=0)
            state = reduce(state, late)
            now = requests(state.sessions["s"])
            assert now == {**first, "last_output": now["last_output"]}


def test_a_turn_of_a_replaced_connection() -> None:
    """It ends there, and does not take the place of a turn of the present one."""
    late = [into(STOPS), into(COMMITTED)]
    spoken = session_after(*LIVE, into(SPEAKS), NEXT, READY, SWITCHED, *late)

    assert requests(session_after(*TURN, *late)) == requests(session_after(*TURN))
    assert spoken.activity.speaking_item is None


def test_a_response_of_a_replaced_connection() -> None:
    """It is kept, ends, and answers no message of the present connection."""
    session = session_after(*BUSY, into(CREATED), into(DONE))
    old = session.responses.by_id["old"]
    reply = select_reply(session, "i")

    assert (old.status, old.answers, old.epoch) == ("completed", (), 0)
    assert reply is not None
    assert reply.status == "in_progress"


def test_the_active_response_of_a_replaced_connection_ends() -> None:
    """It began before the switch: the next request need not wait for the loss."""
    before = [*LIVE, into(CREATED), NEXT, READY, SWITCHED]

    assert session_after(*before).responses.active == "old"
    assert session_after(*before, into(DONE)).responses.active is None


def test_an_item_of_a_replaced_connection_is_kept() -> None:
    """Items and problems are those of the session, whatever the connection."""
    added = into({"type": "conversation.item.added", "item": message("a", "user", [])})
    session = session_after(*BUSY, added, into(error()))

    assert session.items["a"].placement.epoch == 0
    assert [each.kind for each in session.problems] == ["error"]


@pytest.mark.parametrize("early", [out(CREATE, 1), into({"type": "session.closed"}, 1)])
def test_an_output_waits_for_the_present_connection(early: Record) -> None:
    """Neither a request on another connection nor its end answers an output."""
    item: Frame = {"type": "function_call_output", "id": "o", "call_id": "c"}
    given = into({"type": "conversation.item.added", "item": item})
    before = session_after(*LIVE, given, NEXT)
    after = session_after(*LIVE, given, NEXT, early)

    assert before.conversation.last_output == after.conversation.last_output == "o"
    assert after.responses == before.responses
    assert after.connection.status == before.connection.status


@pytest.mark.parametrize("early", [[], [into(UPDATED, 1)], [into(error(), 1)]])
def test_a_successor_that_is_not_used(early: list[Record]) -> None:
    """Its configuration does not count as a change on the present connection."""
    before = [*LIVE, out(UPDATE), NEXT]
    unused = to_record(
        {"type": "duologue.disconnected", "expected": True}, epoch=1, at=70.0
    )
    first = session_after(*before, unused)
    session = session_after(*before, out(CONFIG, 1), READY, *early, unused)

    assert session.connection.changes == first.connection.changes
    assert session.connection.updates_in_flight == (60.0,)


@pytest.mark.parametrize(
    ("early", "waiting"),
    [
        ([], 1),
        ([into(UPDATED, 1)], 0),
        ([into(error(event_id="configuration"), 1)], 0),
        ([into(error(param="session.voice"), 1)], 0),
    ],
)
def test_a_successor_that_is_used(early: list[Record], waiting: int) -> None:
    """Its configuration is answered on it, before the switch or after it."""
    sent = [*LIVE, NEXT, out(CONFIG, 1), READY, *early, SWITCHED]
    connection = session_after(*sent).connection
    change = {**UPDATE, "session": {"instructions": "y"}}
    answers = [into(UPDATED, 1)] * waiting
    later = session_after(*sent, out(change, 1), *answers).connection

    assert len(connection.updates_in_flight) == len(connection.changes) == waiting
    # The answers are matched in order, so the change is still unanswered.
    assert [each.event_id for each in later.changes] == ["u1"]


def test_an_attempt_that_failed_waits_for_no_answer() -> None:
    """Each attempt sends the configuration; only the last one is answered."""
    lost = {"type": "duologue.disconnected", "lost": True, "can_repeat": True}
    failed = {"type": "duologue.connect_failed", "can_repeat": True}
    records = [*LIVE, into(lost, at=70.0)]
    for attempt, at in enumerate((71.0, 73.0), start=1):
        dials = {"type": "duologue.connecting", "attempt": attempt}
        records += [into(dials, 1, at), out(CONFIG, 1, at)]
        if attempt == 1:
            records.append(into({**failed, "attempt": 1}, 1, 72.0))
    records.append(into({"type": "duologue.connected", "attempt": 2}, 1, 74.0))
    tick = to_record({"type": "duologue.tick"}, epoch=1, at=75.0 + REQUEST_TIMEOUT)
    session = session_after(*records, into(UPDATED, 1, 75.0), tick)

    assert session.connection.updates_in_flight == ()
    assert "request_unanswered" not in [each.kind for each in session.problems]
