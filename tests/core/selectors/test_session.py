"""Whether a session is connected, settled or muted, and the speaker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Record,
    Session,
    State,
    Transcript,
    fold,
    reduce,
    select_dtmf,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_reconnections,
    select_transcripts,
)
from duologue.core.effects.deadlines import tick_at
from duologue.core.events.types import SessionStatus
from duologue.core.reducer.input_audio import ANSWER_TIMEOUT
from duologue.core.reducer.responses import SILENCE_TIMEOUT
from duologue.core.selectors import transcript
from duologue.core.selectors.transcript import transcript_of
from duologue.core.selectors.waits import (
    CALL_TIMEOUT,
    TOOL_TIMEOUT,
    TRANSCRIPT_TIMEOUT,
    call_wait,
    turn_wait,
)
from duologue.core.state.model import (
    Activity,
    Call,
    Connection,
    Item,
    Placement,
    Reconnection,
    Responses,
)
from duologue.core.testing.stream import Stream
from duologue.core.testing.stream import to_records as stream_of

from ..effects.live import Live
from ..strategies import HOSTILE, legal
from ..talk import (
    Frame,
    Service,
    fold_frames,
    message,
    talked,
    to_record,
    to_records,
)
from .test_calls import STARTED, called


def test_settled() -> None:
    """A turn is settled after its last event, and a new session is settled."""
    service = talked()
    settled = [
        select_is_settled(state.sessions["s"])
        for n in range(1, len(service.frames) + 1)
        for state in [fold(to_records(service.frames[:n]))]
    ]

    assert [False] * (len(settled) - 1) + [True] == settled
    assert select_is_settled(Session("new"))


#: Events that end or continue work. None of them arrives in a settled session.
_WORK = (
    "input_audio_buffer.speech_stopped",
    "conversation.item.input_audio_transcription.",
    "response.",
    "mcp_list_tools.",
    "output_audio_buffer.",
)


@given(legal(4))
def test_no_work_is_done_in_a_settled_session(stream: Stream) -> None:
    """Every event of a turn arrives before the session is settled."""
    state = State()
    for record in stream:
        session = state.sessions.get("s")
        kind = str(record.event.type)
        if session is not None and select_is_settled(session):
            last = session.item(session.conversation.order.last)
            # The request that begins the turn of a typed message.
            role = last.role if last is not None else None
            is_new = kind == "response.create" and role == "user"
            # A deleted item has no text: its transcript is not awaited.
            spoken = session.item(getattr(record.event, "item_id", None))
            is_gone = spoken is not None and spoken.status == "deleted"
            assert is_new or is_gone or not _is_work(kind), kind
        state = reduce(state, record)


def _is_work(kind: str) -> bool:
    # A cancellation and a list of tools can be requested at any time.
    return kind.startswith(_WORK) and kind != "response.cancel"


_SILENT_VAD: Frame = {"type": "server_vad", "create_response": False}
#: Kinds of sessions: what the service confirms.
KINDS: dict[str, Frame | None] = {
    "as drawn": None,
    "no turn detection": {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}},
    },
    "no answer to turns": {
        "type": "realtime",
        "audio": {
            "input": {
                "turn_detection": {"type": "server_vad", "create_response": False}
            }
        },
    },
    "transcription": {
        "type": "transcription",
        "audio": {
            "input": {
                "transcription": {"model": "t"},
                "turn_detection": {"type": "server_vad"},
            }
        },
    },
}


def of_kind(record: Record, config: Frame | None) -> Record:
    """The record; its configuration replaced if it has one."""
    if config is None or record.event.type not in (
        "session.created",
        "session.updated",
    ):
        return record
    frame = json.loads(record.frame)
    old = frame.get("session")
    given = {"id": old.get("id")} if isinstance(old, dict) else {}
    frame["session"] = {**config, **given}
    how: Any = {"seq": record.seq, "session": record.session, "dir": record.dir}
    how |= {"at": record.at, "epoch": record.epoch}
    return Record.of(json.dumps(frame), **how)


@given(HOSTILE, st.sampled_from(sorted(KINDS)))
def test_a_session_becomes_settled(stream: Stream, kind: str) -> None:
    """After the ticks of `tick_at`, or after its end, nothing is pending."""
    live = Live()
    for record in stream:
        live.fold(of_kind(record, KINDS[kind]))
    for name in live.state.sessions:
        # A log without times asks for no tick; its waits begin with the first one.
        live.fold(to_record(TICK, session=name, at=2e9))
        ticks = 0
        while (at := tick_at(live.state.sessions[name])) is not None:
            live.fold(to_record(TICK, session=name, at=at))
            ticks += 1
            assert ticks < 50, "a tick causes the next one without end"
        session = live.state.sessions[name]
        if session.connection.status is not SessionStatus.OPEN:
            live.fold(to_record({"type": "duologue.closed"}, session=name, at=at))
        session = live.state.sessions[name]
        assert select_is_settled(session)


TICK: Frame = {"type": "duologue.tick"}


def settled_after(service: Service, seconds: float) -> bool:
    """Whether a session is settled at a tick so long after its last event."""
    frames = stream_of(service.frames)
    state = fold(frames)
    assert frames[-1].at is not None
    record = to_record(TICK, len(frames) + 1, at=frames[-1].at + seconds)
    return select_is_settled(reduce(state, record).sessions["s"])


def _spoken(transcript: str | None = "One.", **config: Any) -> Service:
    service = Service()
    service.created(**config)
    item_id = service.start_speech()
    service.end_speech(item_id)
    if transcript is not None:
        service.transcribe(item_id, [transcript])
    return service


def _input(**fields: Any) -> Any:
    return {"audio": {"input": fields}}


@pytest.mark.parametrize(
    ("service", "limit"),
    [
        (_spoken(), ANSWER_TIMEOUT),
        (_spoken(type="transcription"), 0),
        (_spoken(None, type="transcription"), TRANSCRIPT_TIMEOUT),
        (_spoken(None, **_input(transcription=None)), ANSWER_TIMEOUT),
        (_spoken(**_input(turn_detection=None)), 0),
        (_spoken(**_input(turn_detection={"type": "server_vad"})), ANSWER_TIMEOUT),
        (
            _spoken(
                **_input(
                    turn_detection={"type": "semantic_vad", "create_response": False}
                )
            ),
            0,
        ),
        (
            _spoken(None, **_input(turn_detection=None, transcription=None)),
            0,
        ),
    ],
)
def test_a_turn_without_an_answer(service: Service, limit: float) -> None:
    """A skipped answer, and a transcript that never arrives, have a time limit."""
    assert settled_after(service, 0.01) is (limit == 0)
    assert settled_after(service, limit - 1.5) is (limit == 0)
    assert settled_after(service, limit + 0.5)


def test_no_transcript_of_a_deleted_item_is_awaited() -> None:
    """A deleted item can have no more text, whether it was spoken or is a reply."""
    service = _spoken(None, type="transcription")
    assert not settled_after(service, 0.01)

    [item_id] = fold(stream_of(service.frames)).sessions["s"].items
    service.send("conversation.item.deleted", item_id=item_id)
    assert settled_after(service, 0.01)


def test_a_committed_turn_is_answered() -> None:
    """A service that reports no end of speech answers the committed audio."""
    service = Service()
    service.created(**_input(transcription=None))
    item = message("u", "user", [{"type": "input_audio"}])
    service.send("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    service.put(item)

    assert not settled_after(service, 1)
    service.reply("a", spoken=False)
    assert settled_after(service, 0.01)


def _asked(*calls: str) -> tuple[Service, list[Frame]]:
    service = Service()
    service.created()
    service.typed("how many?")
    response = service.begin()
    made = [service.call(response, name, ["{}"]) for name in calls]
    service.end(response, made)
    return service, made


def test_a_call_until_its_answer() -> None:
    """Unsettled: from the call to its output, to the answer, to the end of that."""
    service, [one, two] = _asked("look", "count")
    seen = [settled_after(service, CALL_TIMEOUT - 2)]
    for made in (one, two):
        call_id = made["call_id"]
        service.note("duologue.tool_started", call_id=call_id)
        seen.append(settled_after(service, TOOL_TIMEOUT - 2))
        service.note("duologue.tool_finished", call_id=call_id)
        seen.append(settled_after(service, ANSWER_TIMEOUT - 2))
        service.answer(call_id, "12")
        seen.append(settled_after(service, ANSWER_TIMEOUT - 2))
    service.note("response.create")
    seen.append(settled_after(service, ANSWER_TIMEOUT - 2))
    response = service.begin()
    seen.append(settled_after(service, 1))
    assert seen == [False] * len(seen)
    service.end(response, [])
    assert settled_after(service, 0.01)


def test_a_call_without_an_answer() -> None:
    """A call, a tool, an output and an answer that never arrive have time limits."""
    service, [made] = _asked("look")
    call_id = made["call_id"]
    seen = [settled_after(service, CALL_TIMEOUT)]
    service.note("duologue.tool_started", call_id=call_id)
    seen.append(settled_after(service, TOOL_TIMEOUT))
    service.note("duologue.tool_finished", call_id=call_id)
    seen.append(settled_after(service, ANSWER_TIMEOUT))
    service.answer(call_id, "12")
    seen.append(settled_after(service, ANSWER_TIMEOUT))
    assert all(seen)


def test_an_observed_call() -> None:
    """A call that another client answers is pending, too, and so is its answer."""
    service, [made] = _asked("look")
    assert not settled_after(service, 1)
    item = {"type": "function_call_output", "call_id": made["call_id"], "output": "1"}
    service.put({**item, "id": "o"})
    assert not settled_after(service, 1)
    service.reply("a", spoken=False)
    assert settled_after(service, 0.01)


def test_an_interrupted_call_is_not_answered() -> None:
    """Nothing is pending after a cancelled response, even if its call is complete."""
    service = Service()
    service.created()
    response = service.begin()
    made = service.call(response, "look", ["{}"])
    service.end(response, [made], "cancelled", type="cancelled", reason="client")

    assert settled_after(service, 0.01)


def test_an_approval() -> None:
    """An approval is pending until its answer, then until the next response."""
    service = Service()
    service.created()
    response = service.begin()
    request = service.approval("shop", response)
    service.end(response, [request])
    assert not settled_after(service, CALL_TIMEOUT - 2)
    assert settled_after(service, CALL_TIMEOUT)
    service.approve(request["id"])
    assert not settled_after(service, ANSWER_TIMEOUT - 2)
    service.reply("a", spoken=False)
    assert settled_after(service, 0.01)


def test_a_response_out_of_band_is_pending() -> None:
    """It ends with `response.done`, or after a time limit."""
    service = Service()
    service.created()
    response = service.begin(in_band=False)
    assert not settled_after(service, SILENCE_TIMEOUT - 2)
    assert settled_after(service, SILENCE_TIMEOUT)
    service.end(response, [], in_band=False)
    assert settled_after(service, 0.01)


@pytest.mark.parametrize("status", [SessionStatus.CLOSED, SessionStatus.FAILED])
def test_a_session_that_is_over_is_settled(status: SessionStatus) -> None:
    """Nothing follows in it, whatever was pending."""
    responses = Responses(queued="{}", in_flight="{}")
    over = Session("s", connection=Connection(status), responses=responses)

    assert select_is_settled(over)


def test_settled_makes_no_transcripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`select_is_settled` creates no `Transcript`."""
    made: list[str] = []

    def counting(item: Item) -> Transcript:
        made.append(item.id)
        return transcript_of(item)

    monkeypatch.setattr(transcript, "transcript_of", counting)
    session = fold_frames(*talked().frames)

    assert select_is_settled(replace(session, id="settled"))
    assert made == []
    assert len(select_transcripts(replace(session, id="settled"))) == len(made) == 2


@pytest.mark.parametrize(
    "node",
    [
        {"responses": Responses(queued="{}")},
        {"responses": Responses(in_flight="{}")},
        {"responses": Responses(active="r")},
        {"activity": Activity(playing="r")},
    ],
)
def test_not_settled(node: Any) -> None:
    """A session is not settled while a response is queued, active or playing."""
    assert not select_is_settled(Session("s", **node))


def test_a_running_call_is_not_settled() -> None:
    """A session with a running call is not settled, because its output is answered."""
    session = fold_frames(called("a"), STARTED)

    assert not select_is_settled(session)


def test_connection_and_activity() -> None:
    """The user takes precedence over the assistant."""
    open_ = Session("s", connection=Connection(SessionStatus.OPEN))
    both = Session("s", activity=Activity(speaking_item="i", playing="r", muted=True))
    playing = Session("s", activity=Activity(playing="r"))

    assert [
        (select_is_connected(s), select_is_speaking(s), select_is_muted(s))
        for s in (open_, both, playing)
    ] == [
        (True, None, False),
        (False, "user", True),
        (False, "assistant", False),
    ]


def test_telephone_keys() -> None:
    """Keys are in the order of the key presses."""
    dtmf = "input_audio_buffer.dtmf_event_received"
    keys: list[Frame] = [
        {"type": dtmf, "event": key, "received_at": 7} for key in ("1", "#")
    ]

    assert [key.key for key in select_dtmf(fold_frames(*keys))] == ["1", "#"]


def test_the_reconnections_of_a_session() -> None:
    """They are those of its connection, oldest first."""
    known = (Reconnection(1, reason="gone"), Reconnection(2, hand_over=True))
    session = Session("s", connection=Connection(reconnections=known))

    assert select_reconnections(session) == known
    assert select_reconnections(Session("s")) == ()


@pytest.mark.parametrize(
    ("is_running", "expected"), [(True, [5.0 + CALL_TIMEOUT]), (False, [])]
)
def test_a_call_of_an_mcp_server(is_running: bool, expected: list[float]) -> None:
    """It is awaited from its beginning, as long as it runs."""
    place, call = Placement(started_at=5.0), Call(running=is_running)
    item = Item("m", type="mcp_call", call=call, placement=place)

    assert list(call_wait(Session("s"), item)) == expected


def test_a_turn_that_ends_again_after_its_answer_began() -> None:
    """No other answer is awaited."""
    stopped: Frame = {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}
    begins: Frame = {"type": "response.created", "response": {"id": "r"}}
    waiting = fold([to_record(stopped, at=7.0)]).sessions["s"]
    session = fold_frames(stopped, begins, stopped)

    assert list(turn_wait(waiting)) == [7.0 + ANSWER_TIMEOUT]
    assert session.activity.unanswered_item == "u"
    assert list(turn_wait(session)) == []
