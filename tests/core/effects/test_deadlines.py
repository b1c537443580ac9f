"""When the next tick is due, and the waits that a tick ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    Session,
    State,
    patch,
    reduce,
    select_problems,
    select_transcripts,
    view,
)
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.handover import HAND_OVER_DEADLINE, HAND_OVER_EARLY
from duologue.core.events.types import SessionStatus
from duologue.core.reducer.input_audio import (
    ANSWER_TIMEOUT,
    SPEECH_TIMEOUT,
    answer_deadline,
    speech_deadlines,
)
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT, request_deadlines
from duologue.core.reducer.responses import SILENCE_TIMEOUT, silence_deadlines
from duologue.core.selectors.waits import has_unanswered_outputs
from duologue.core.testing.stream import Stream
from duologue.core.views.json_patch import apply

from ..strategies import HOSTILE, enough
from ..talk import Frame, Service, to_record
from .live import CREATE, REQUEST, Live, begun, calling, output
from .test_handover import EXPIRES, expiring, tick

TICK: Frame = {"type": "duologue.tick"}
BUSY = "conversation_already_has_active_response"


def of(live: Live) -> Session:
    return live.state.sessions["s"]


def due(live: Live) -> float:
    """The time of the next tick, at which nothing has happened before."""
    at = tick_at(of(live))
    assert at is not None
    before = of(live)
    assert tick(live, at - 0.001) == ()
    assert of(live).problems == before.problems
    assert tick_at(of(live)) == at
    return at


def watched(live: Live) -> list[float]:
    """The ends of the waits for an answer of the service."""
    found: list[float] = []
    for deadlines in (request_deadlines, silence_deadlines, speech_deadlines):
        found += deadlines(of(live))
    answer = answer_deadline(of(live))
    ticked = of(live).activity.last_tick_at or 0.0
    return found + [at for at in (answer,) if at is not None and at > ticked]


def problems(live: Live) -> list[tuple[str, str | None]]:
    return [(problem.kind, problem.origin) for problem in select_problems(of(live))]


def receive(live: Live, type: str, **fields: Any) -> tuple[str, ...]:
    return live.note({"type": type, **fields})


def test_the_deadlines_of_a_connection() -> None:
    """A connection has two deadlines before its expiry, or none without an expiry."""
    live, _ = expiring()

    def due() -> float | None:
        return tick_at(live.state.sessions["s"])

    early, late = EXPIRES - HAND_OVER_EARLY, EXPIRES - HAND_OVER_DEADLINE
    assert due() == early
    tick(live, early)
    assert due() == late
    tick(live, late)
    assert due() is None
    live, _ = begun()
    assert due() is None
    live, _ = expiring()
    live.note({"type": "duologue.disconnected", "reason": "gone"})
    assert due() is None


def test_the_deadline_of_an_unanswered_turn() -> None:
    """An unanswered turn has a deadline, at which a queued response is requested."""
    live, service = begun()
    item_id = service.start_speech()
    service.end_speech(item_id)
    live.play(service)
    ended = live.state.sessions["s"].items[item_id].placement.speech_ended_at
    assert ended is not None
    assert tick_at(live.state.sessions["s"]) == ended + ANSWER_TIMEOUT
    live.note(REQUEST)
    assert tick_at(live.state.sessions["s"]) == ended + ANSWER_TIMEOUT
    assert tick(live, ended + ANSWER_TIMEOUT) == CREATE


#: A response of another client.
OUT_OF_BAND = {"id": "o", "conversation_id": None, "metadata": {"topic": "other"}}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"type": "error", "error": {"code": "strange", "event_id": None}},
        {"type": "error", "error": {"code": BUSY, "event_id": "of_another_client"}},
        {"type": "error", "error": {"type": "server_error", "param": "item.content"}},
        {"type": "error", "error": {}},
        {"type": "response.created", "response": OUT_OF_BAND},
        {"type": "session.updated", "session": {"type": "realtime"}},
    ],
)
def test_a_request_without_an_answer(answer: Frame | None) -> None:
    """It is given up after its time; then the queued one is sent, once."""
    live, _ = begun()
    assert live.note(REQUEST) == CREATE
    sent = live.at
    if answer is not None:
        assert live.note(answer) == ()
    assert live.note(REQUEST) == ()
    at = due(live)
    assert at == pytest.approx(sent + REQUEST_TIMEOUT)
    assert tick(live, at) == CREATE
    assert problems(live)[-1] == ("request_unanswered", "response.create")
    assert receive(live, "response.created", response={"id": "r"}) == ()
    assert of(live).responses.active == "r"
    assert receive(live, "response.done", response={"id": "r"}) == ()
    assert watched(live) == []


def test_a_late_answer_counts() -> None:
    """A response that begins after the wait is active; the next request waits."""
    live, _ = begun()
    live.note(REQUEST)
    assert tick(live, due(live)) == ()
    assert of(live).responses.in_flight is None
    receive(live, "response.created", response={"id": "r"})
    assert live.note(REQUEST) == ()
    assert receive(live, "response.done", response={"id": "r"}) == CREATE


def test_an_unanswered_request_is_not_repeated() -> None:
    """The outputs of functions are answered by one request, even without an answer."""
    live, service = begun()
    calling("a", live=live, service=service)
    assert output(live, "a") == CREATE
    assert tick(live, due(live)) == ()
    assert watched(live) == []
    assert live.note(REQUEST) == CREATE


@pytest.mark.parametrize(
    "error",
    [
        {"code": "bad_response_create", "message": "m"},
        {"type": "invalid_request_error", "param": "response.tool_choice"},
        {"param": "response"},
    ],
)
def test_an_error_that_can_only_concern_the_request(error: Frame) -> None:
    """It refuses the request in flight at once, without its id."""
    live, _ = begun()
    live.note(REQUEST)
    live.note(REQUEST)
    assert receive(live, "error", error=error) == CREATE


@pytest.mark.parametrize(
    "error",
    [
        {"code": BUSY},
        {"type": BUSY},
        {"type": BUSY, "code": None, "event_id": None},
    ],
)
def test_a_request_that_an_unknown_response_refuses(error: Frame) -> None:
    """It is sent again once the other response must have ended."""
    live, _ = begun()
    live.note(REQUEST)
    live.note(REQUEST)
    assert receive(live, "error", error=error) == ()
    assert tick(live, due(live)) == CREATE


def test_the_error_of_an_earlier_request() -> None:
    """A late error of a request that was given up does not refuse the next one."""
    live, _ = begun()
    for event_id in ("c1", "c2"):
        live.note({"type": "response.create", "event_id": event_id}, "out")
    receive(live, "error", error={"event_id": "c1", "code": "strange"})
    assert of(live).responses.in_flight is not None
    receive(live, "error", error={"event_id": "c2", "code": "strange"})
    assert of(live).responses.in_flight is None


UPDATE: Frame = {"type": "session.update", "session": {"type": "realtime"}}


def test_an_update_without_an_answer() -> None:
    """Each `session.update` has its own time; one problem is added."""
    live, _ = begun()
    live.note(UPDATE, "out")
    first = live.at
    live.note(UPDATE, "out")
    receive(live, "session.updated", session=UPDATE["session"])
    at = due(live)
    assert at > first + REQUEST_TIMEOUT
    tick(live, at)
    assert problems(live) == [("request_unanswered", "session.update")]
    assert watched(live) == []


@pytest.mark.parametrize("error", [{"event_id": "u"}, {"param": "session.voice"}])
def test_a_refused_update_is_answered(error: Frame) -> None:
    """An error answers it, by its id or by the field that it names."""
    live, _ = begun()
    live.note({**UPDATE, "event_id": "u"}, "out")
    receive(live, "error", error=error)
    assert watched(live) == []


def test_an_update_of_a_lost_connection() -> None:
    """The next connection does not wait for it."""
    live, _ = begun()
    live.note(UPDATE, "out")
    live.note({"type": "duologue.disconnected", "retrying": True})
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    live.note({"type": "duologue.connected"})
    assert watched(live) == []


def test_a_speech_without_an_end() -> None:
    """The user no longer speaks; a queued response is sent; a late end counts."""
    live, service = begun()
    user = service.start_speech()
    live.play(service)
    began = of(live).activity.speech_started_at
    assert began is not None
    assert live.note(REQUEST) == ()
    at = due(live)
    assert at == began + SPEECH_TIMEOUT
    assert tick(live, at) == CREATE
    assert [(p.kind, p.item_id) for p in of(live).problems] == [
        ("speech_unended", user)
    ]
    (line,) = select_transcripts(of(live))
    assert (line.final, of(live).activity.speaking_item) == (True, None)
    service.end_speech(user)
    service.transcribe(user, ["still ", "here"])
    live.play(service)
    (line,) = select_transcripts(of(live))
    assert (line.text, line.final) == ("still here", True)
    assert of(live).activity.unanswered_item == user


@pytest.mark.parametrize("ends", ["input_audio_buffer.cleared", "committed", "stopped"])
def test_a_speech_that_ends(ends: str) -> None:
    """Each end of a speech ends its wait."""
    live, service = begun(audio={"input": {"turn_detection": None}})
    user = service.start_speech()
    live.play(service)
    name = ends if "." in ends else f"input_audio_buffer.{ends}"
    name = name.replace("stopped", "speech_stopped")
    receive(live, name, item_id=user, previous_item_id=None)
    assert watched(live) == []


def test_a_commit_during_the_speech() -> None:
    """It ends the turn, so a queued response is sent."""
    live, service = begun(audio={"input": {"turn_detection": {"type": "server_vad"}}})
    user = service.start_speech()
    live.play(service)
    assert live.note(REQUEST) == ()
    receive(live, "input_audio_buffer.committed", item_id=user, previous_item_id=None)
    assert of(live).responses.in_flight is not None


@pytest.mark.parametrize(
    ("config", "waits"),
    [
        ({}, True),
        ({"turn_detection": {"type": "semantic_vad"}}, True),
        ({"turn_detection": {"type": "server_vad", "create_response": False}}, False),
        ({"turn_detection": None}, False),
    ],
)
def test_a_turn_without_an_answer(config: Frame, waits: bool) -> None:
    """It is one problem, if turn detection answers turns; a late answer is linked."""
    live, service = begun(audio={"input": config})
    user = service.start_speech()
    service.end_speech(user)
    live.play(service)
    if waits:
        tick(live, due(live))
        tick(live, live.at + 1)
    assert [p.kind for p in of(live).problems] == ["turn_unanswered"] * waits
    assert watched(live) == []
    response = service.begin()
    live.play(service)
    assert of(live).responses.by_id[response].turn.item_id == user


def test_no_turn_is_answered_in_a_transcription_session() -> None:
    """A transcription session has no responses to wait for."""
    live, service = begun(type="transcription")
    service.end_speech(service.start_speech())
    live.play(service)
    assert watched(live) == []


def silent(live: Live, service: Service) -> str:
    """A response that has said a word and no more."""
    response = service.begin()
    service.say(response, ["Well"])
    live.play(service)
    return response


def test_a_response_of_a_replaced_connection_that_falls_silent() -> None:
    """It ends too; the service of the present connection does not know it."""
    live, service = begun()
    live.note(REQUEST)
    silent(live, service)
    live.epoch = 1
    live.note({"type": "duologue.connected"})
    assert tick(live, due(live)) == ()
    assert tick(live, due(live)) == ()
    assert problems(live) == [("response_silent", None)]


def test_a_response_that_falls_silent() -> None:
    """It ends with its text, and is cancelled before the next request."""
    live, service = begun()
    live.note(REQUEST)
    response = silent(live, service)
    assert live.note(REQUEST) == ()
    # The first word has arrived since it began.
    assert tick(live, due(live)) == ()
    assert tick(live, due(live)) == ("response.cancel", *CREATE)
    found = of(live).responses.by_id[response]
    assert (found.status, found.reason) == ("incomplete", "silent")
    assert problems(live) == [("response_silent", None)]
    (line,) = select_transcripts(of(live))
    assert (line.text, line.final) == ("Well", True)


def test_a_response_that_goes_on() -> None:
    """As long as it grows it does not end; one tick is due in each period."""
    live, service = begun()
    response = service.begin()
    said = service.say(response, ["a"])
    live.play(service)
    for _ in range(20):
        service.utter(said, "b")
        live.play(service)
        assert tick(live, due(live)) == ()
    assert of(live).responses.active == response
    service.end(response, [service.finish(said)])
    live.play(service)
    assert (watched(live), of(live).problems) == ([], ())


def test_a_response_without_any_event() -> None:
    """It ends when it is as empty as at the first comparison."""
    live, service = begun()
    service.begin()
    live.play(service)
    began = live.at
    assert due(live) == pytest.approx(began + SILENCE_TIMEOUT)
    tick(live, due(live))
    assert of(live).responses.active is not None
    assert due(live) == pytest.approx(began + 2 * SILENCE_TIMEOUT)
    tick(live, due(live))
    assert of(live).responses.active is None


def test_a_process_that_slept() -> None:
    """A tick that comes much too late ends no response: its events may be waiting."""
    live, service = begun()
    service.begin()
    live.play(service)
    assert tick(live, live.at + 3 * SILENCE_TIMEOUT) == ()
    assert of(live).responses.active is not None
    tick(live, due(live))
    assert of(live).responses.active is None


def test_a_silent_response_that_ends_after_all() -> None:
    """Its `response.done` adds the text and the usage, once."""
    live, service = begun()
    response = service.begin()
    said = service.say(response, ["Well"])
    live.play(service)
    tick(live, due(live))
    tick(live, due(live))
    service.utter(said, ", yes")
    item = service.finish(said)
    for _ in range(2):
        service.end(response, [item])
    live.play(service)
    (line,) = select_transcripts(of(live))
    assert line.text == "Well, yes"
    assert [p.kind for p in of(live).problems] == ["response_silent"]
    once, twice = begun()
    response = twice.begin()
    twice.end(response, [twice.finish(twice.say(response, ["Well"]))])
    once.play(twice)
    assert of(live).usage == of(once).usage


def test_an_observer_cancels_nothing() -> None:
    """A client that has sent nothing does not cancel the response of another."""
    live, service = begun()
    silent(live, service)
    assert tick(live, due(live)) == ()
    assert tick(live, due(live)) == ()
    assert problems(live) == [("response_silent", None)]


def test_a_call_is_not_silence() -> None:
    """A response has ended when its calls wait for their outputs."""
    live, service = begun()
    calling("a", live=live, service=service)
    assert watched(live) == []


def test_a_clock_that_was_set_back() -> None:
    """A wait does not begin before the last tick, so its tick has an effect."""
    live, _ = begun()
    tick(live, 5000.0)
    live.at = 2000.0
    live.note(REQUEST)
    assert tick_at(of(live)) == 5000.0 + REQUEST_TIMEOUT
    live, service = begun()
    tick(live, 5000.0)
    live.at = 2000.0
    service.start_speech()
    live.play(service)
    at = tick_at(of(live))
    assert at is not None
    assert at > 5000.0
    tick(live, at)
    assert of(live).activity.speaking_item is None


def test_a_log_without_times() -> None:
    """The waits begin at the first tick."""
    state = State()
    frames: list[Frame] = [
        {"type": "session.created", "session": {"type": "realtime"}},
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
    ]
    for seq, frame in enumerate(frames, 1):
        state = reduce(state, to_record(frame, seq, at=None))
    create = to_record({"type": "response.create"}, 4, at=None, dir="out")
    state = reduce(state, create)
    assert tick_at(state.sessions["s"]) is None
    state = reduce(state, to_record(TICK, 5, at=7.0))
    assert tick_at(state.sessions["s"]) == 7.0 + REQUEST_TIMEOUT
    assert ended(state.sessions["s"])


def ended(session: Session, at: float = 1000.0, most: int = 60) -> bool:
    """Whether every wait ends within so many ticks, and each patch fits.

    The first tick begins the waits of a log without times.
    """
    state, seq = State(State().sessions.set(session.id, session)), 10**6
    next_at: float | None = at
    while next_at is not None:
        most, seq = most - 1, seq + 1
        assert most, f"another tick is due at {next_at}"
        record = to_record(TICK, seq, session=session.id, at=next_at)
        before, state = state.sessions[session.id], reduce(state, record)
        after = state.sessions[session.id]
        assert apply(view(before), patch(before, after, record)) == view(after)
        next_at = tick_at(after)
    last = state.sessions[session.id]
    waits = (
        last.responses.active,
        last.responses.in_flight,
        last.activity.speaking_item,
        *last.connection.updates_in_flight,
    )
    return not any(waits)


@enough
@given(HOSTILE)
def test_every_wait_ends(stream: Stream) -> None:
    """After any stream, a few ticks end every wait of an open session."""
    state = State()
    for number, record in enumerate(stream):
        state = reduce(state, record)
        if number % 7 and number + 1 != len(stream):
            continue
        for session in state.sessions.values():
            if session.connection.status is SessionStatus.OPEN:
                assert ended(session, record.at or 1000.0)
            else:
                assert tick_at(session) is None


@enough
@given(HOSTILE, st.integers(0, 500))
def test_a_request_during_a_stream_is_sent(stream: Stream, place: int) -> None:
    """Whatever it waits for, the record that ends the wait sends it."""
    place %= len(stream) + 1
    live = Live()
    for record in [*stream[:place], None, *stream[place:]]:
        if record is not None:
            live.fold(record)
            continue
        session = live.state.sessions.get("s", Session("s"))
        live.epoch, live.seq = session.connection.epoch, len(stream) + place
        live.at = max(1000.0, session.activity.last_tick_at or 0.0)
        live.note(REQUEST)
    session = live.state.sessions["s"]
    if session.connection.status is not SessionStatus.OPEN:
        return
    live.epoch = session.connection.epoch
    live.at = max(live.at, session.activity.last_tick_at or 0.0)
    live.note(TICK)
    rest(live)

    assert of(live).responses.queued is None


@enough
@given(HOSTILE)
def test_the_next_request_is_sent(stream: Stream) -> None:
    """After any stream, a request is sent in the end, also if no answer ever comes."""
    state = State()
    for record in stream:
        state = reduce(state, record)
    for name, session in state.sessions.items():
        if session.connection.status is not SessionStatus.OPEN:
            continue
        live = Live(epoch=session.connection.epoch, name=name)
        live.state, live.seq = state, len(stream)
        live.at = max(stream[-1].at or 1000.0, session.activity.last_tick_at or 0.0)
        live.note(TICK)
        rest(live)
        rested = live.state.sessions[name]
        if rested.responses.queued is not None or has_unanswered_outputs(rested):
            # The stream was folded without a client that could have sent it.
            continue
        sent = live.note(REQUEST) + rest(live)
        assert sent.count("response.create") == 1
        after = live.state.sessions[name].responses
        assert (after.queued, after.in_flight, after.active) == (None, None, None)


def rest(live: Live, most: int = 60) -> tuple[str, ...]:
    """What is sent at the ticks that are due, until none is."""
    names: tuple[str, ...] = ()
    while (at := tick_at(live.state.sessions[live.name])) is not None:
        most -= 1
        assert most, f"another tick is due at {at}"
        names += tick(live, at)
    return names
