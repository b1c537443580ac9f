"""When a ``response.create`` is sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    Record,
    Session,
    State,
    encode,
    react,
    reduce,
    select_is_settled,
    select_replies,
)
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.effects.commands import Send, WakeAt, is_queued
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.responses import response_due
from duologue.core.events.base import ClientEvent
from duologue.core.reducer.input_audio import ANSWER_TIMEOUT, last_response
from duologue.core.reducer.requests.answers import BUSY_RETRIES
from duologue.core.reducer.responses import SILENCE_TIMEOUT
from duologue.core.testing.stream import Stream

from ..strategies import HOSTILE, enough
from ..talk import POLICY, Frame, Service, fold_frames, to_record, to_records
from .live import CREATE, REQUEST, Live, begun, call, calling, output


def test_the_output_of_a_call_is_answered() -> None:
    """One response is requested when the service has confirmed the output."""
    live, service = begun()
    calling("a", live=live, service=service)

    assert output(live, "a") == CREATE
    service.reply("done")
    assert live.play(service) == ()


def test_parallel_calls_get_one_answer() -> None:
    """One response is requested after the last output, in any order of outputs."""
    live, service = begun()
    calling("a", "b", "c", live=live, service=service)

    assert [output(live, name) for name in ("c", "a", "b")] == [(), (), CREATE]


def test_outputs_before_the_end_of_their_response() -> None:
    """The request waits for the end of the response that made the call."""
    live, service = begun()
    response = service.begin()
    item = call(service, response, "a", "completed")
    assert live.play(service) == ("RunTool",)
    assert output(live, "a") == ()
    service.end(response, [item])

    assert live.play(service) == CREATE


def test_an_interrupted_call_does_not_count() -> None:
    """An incomplete call needs no output; a cancelled response needs no answer."""
    live, service = begun()
    response = service.begin()
    whole = call(service, response, "a", "completed")
    cut = call(service, response, "b", "incomplete")
    service.end(response, [whole, cut])
    live.play(service)
    assert output(live, "a") == CREATE

    live, service = begun()
    calling("a", live=live, service=service, status="cancelled")
    assert output(live, "a") == ()


def test_out_of_band_calls_are_not_answered() -> None:
    """Outputs of out-of-band calls are not answered."""
    live, service = begun()
    response = service.begin(in_band=False)
    item = call(service, response, "a", "completed")
    service.end(response, [item], in_band=False)
    live.play(service)

    assert output(live, "a") == ()


def test_a_client_that_only_watches_sends_nothing() -> None:
    """Only the client that sent the output requests the response."""
    live, service = begun()
    calling("a", live=live, service=service)

    assert output(live, "a", sent=False) == ()


def test_an_output_before_the_end_of_its_tool() -> None:
    """Another client sends it; this one requests the response when its tool ends."""
    live, service = begun()
    calling("a", live=live, service=service)
    assert live.note({"type": "duologue.tool_started", "call_id": "a"}) == ()
    assert output(live, "a", sent=False) == ()

    assert live.note({"type": "duologue.tool_finished", "call_id": "a"}) == CREATE


def test_an_output_without_a_call() -> None:
    """An output without a call is not answered."""
    live, _ = begun()

    assert output(live, "a") == ()


def test_the_application_has_requested_the_response() -> None:
    """A response that the application requested is not requested twice."""
    live, service = begun()
    calling("a", live=live, service=service)
    live.note({"type": "response.create"}, "out")

    assert output(live, "a") == ()
    service.reply("done")
    assert live.play(service) == ()


def test_the_service_answers_the_users_turn() -> None:
    """If the user speaks before the output, the service answers both."""
    live, service = begun()
    calling("a", live=live, service=service)
    user = service.start_speech()
    live.play(service)
    assert output(live, "a") == ()
    service.end_speech(user)
    assert live.play(service) == ()
    service.reply("here", "it is")

    assert live.play(service) == ()


def test_an_answer_that_did_not_see_the_output() -> None:
    """A response that began before the output does not answer it."""
    live, service = begun()
    calling("a", live=live, service=service)
    response = service.begin()
    live.play(service)
    assert output(live, "a") == ()
    service.end(response, [])

    assert live.play(service) == CREATE


def test_no_times_no_second_answer() -> None:
    """Without times, a later response counts as the answer."""
    service = Service()
    live = Live()
    calling("a", live=live, service=service)
    live.note({"type": "response.create", "event_id": "e"}, "out")
    item = {"type": "function_call_output", "call_id": "a", "output": "", "id": "o"}
    sent = {"type": "conversation.item.create", "event_id": "f", "item": item}
    live.note(sent, "out")
    service.reply("done")
    service.send("conversation.item.added", item=item, previous_item_id=None)
    state = live.state
    for record in to_records(service.frames):
        record = msgspec.structs.replace(record, at=None)
        before, state = state, reduce(state, record)
        assert react(before, record, state) == ()


@pytest.mark.parametrize("detection", [None, {"create_response": False}])
def test_turns_that_the_service_does_not_answer(detection: Any) -> None:
    """With push-to-talk, a turn of the user does not delay the request."""
    if detection:
        detection = {"type": "server_vad", **detection}
    live, service = begun(audio={"input": {"turn_detection": detection}})
    calling("a", live=live, service=service)
    service.start_speech()
    live.play(service)

    assert output(live, "a") == CREATE


def test_a_refused_response_is_not_requested_again() -> None:
    """A refused request is not repeated."""
    live, service = begun()
    calling("a", live=live, service=service)
    output(live, "a")
    sent = live.commands[-1]
    assert isinstance(sent, Send)
    service.send("error", error={"event_id": sent.event.event_id, "code": "busy"})

    assert live.play(service) == ()
    assert not live.state.sessions["s"].responses.in_flight
    service.typed("hello")
    assert live.play(service) == ()


def test_a_queued_response_waits_for_the_end_of_another() -> None:
    """Two requests during a response give one more response, after its end."""
    live, service = begun()
    response = service.begin()
    live.play(service)
    service.typed("wait")
    live.play(service)
    assert (live.note(REQUEST), live.note(REQUEST)) == ((), ())
    service.end(response, [])

    assert live.play(service) == CREATE
    service.reply("yes?")
    assert live.play(service) == ()


def test_a_queued_response_waits_for_the_one_in_flight() -> None:
    """A queued request waits until the one in flight is answered or refused."""
    live, service = begun()
    assert live.note(REQUEST) == CREATE
    assert live.note(REQUEST) == ()
    service.send("error", error={"code": "bad_response_create"})

    assert live.play(service) == CREATE


BUSY = {"code": "conversation_already_has_active_response", "message": "busy"}


def test_a_request_that_an_unknown_response_delays() -> None:
    """It is sent again after a time, so many times, and then it has failed."""
    live, service = begun()
    assert live.note(REQUEST) == CREATE
    for _ in range(BUSY_RETRIES):
        service.send("error", error=BUSY)
        assert live.play(service) == ()
        due = tick_at(live.state.sessions["s"])
        assert due is not None
        live.at = due - 1.0
        assert live.note(TICK) == live.note(REQUEST) == ()
        live.at = due
        assert live.note(TICK) == CREATE
    service.send("error", error=BUSY)

    assert live.play(service) == ()
    assert live.state.sessions["s"].responses.queued is None
    assert live.note(REQUEST) == CREATE


def test_an_unknown_response_ends() -> None:
    """The request that it delayed is sent; the next one has all its attempts."""
    live, service = begun()
    live.note(REQUEST)
    service.send("error", error=BUSY)
    assert live.play(service) == ()
    ended = {"id": "other", "conversation_id": "c", "status": "completed"}
    service.send("response.done", response=ended)

    assert live.play(service) == CREATE
    assert live.state.sessions["s"].responses.refused_at == ()


def test_a_queued_response_waits_for_the_user() -> None:
    """A queued request waits for the end of speech, or until the speech is cleared."""
    live, service = begun()
    service.start_speech()
    live.play(service)
    assert live.note(REQUEST) == ()
    service.send("input_audio_buffer.cleared")

    assert live.play(service) == CREATE


def test_an_unanswered_turn_times_out() -> None:
    """If the service does not answer the turn in time, the queued request is sent."""
    live, service = begun()
    user = service.start_speech()
    service.end_speech(user)
    live.play(service)
    assert live.note(REQUEST) == ()
    assert live.note({"type": "duologue.tick"}) == ()
    live.at += ANSWER_TIMEOUT

    assert live.note({"type": "duologue.tick"}) == CREATE


def test_a_response_that_ends_before_it_began() -> None:
    """A response that ends without ``created`` is the answer to the turn."""
    live, service = begun()
    user = service.start_speech()
    service.end_speech(user)
    live.play(service)
    live.note(REQUEST)
    service.end("r", [], "cancelled")

    assert live.play(service) == CREATE


def test_an_invalid_request_is_sent_without_options() -> None:
    """A request with invalid options is sent without them."""
    live, _ = begun()
    event = {"type": "response.create", "response": {"metadata": 5}}
    assert live.note({"type": "duologue.requested", "event": event}) == CREATE

    assert live.commands == [Send("s", ev.ResponseCreate(event_id="s.2.0"))]


def test_a_queued_response_is_sent_on_the_new_connection() -> None:
    """A request before the connection is sent after ``session.created``."""
    live, service = Live(), Service()
    live.note({"type": "duologue.connecting"})
    live.note(REQUEST)
    live.note({"type": "duologue.connected"})
    service.created()

    assert live.play(service) == CREATE


@pytest.mark.parametrize(
    ("event", "waits"),
    [
        (commands.create_response(), True),
        (commands.create_response(instructions="be kind"), True),
        (commands.create_response(out_of_band=True), False),
        (commands.cancel_response(), False),
    ],
)
def test_requests_that_wait_in_the_queue(event: ClientEvent, waits: bool) -> None:
    """Only requests for responses in the conversation are queued."""
    assert is_queued(event) is waits


def test_the_last_response_of_the_conversation() -> None:
    """Out-of-band responses are not the last response."""
    service = Service()
    response = service.begin()
    service.end(response)
    service.reply("aside", in_band=False)
    last = last_response(fold_frames(*service.frames))

    assert last is not None
    assert last.id == response
    assert last_response(Session("s")) is None


@pytest.mark.parametrize(
    ("response", "requests", "expected"),
    [
        ({"id": "r"}, True, [commands.cancel_response("r")]),
        # No id that the service knows: the active response is cancelled.
        ({}, True, [commands.cancel_response()]),
        # A mere observer does not cancel the response of another client.
        ({"id": "r"}, False, []),
    ],
)
def test_a_silent_response_is_cancelled(
    response: Frame, requests: bool, expected: list[ClientEvent]
) -> None:
    """It is cancelled once, when its wait ends, by a client that sends events."""
    live, _ = begun()
    if requests:
        assert live.note(REQUEST) == CREATE
    live.note({"type": "response.created", "response": response})
    live.commands.clear()
    for _ in range(3):
        live.at += SILENCE_TIMEOUT
        live.note({"type": "duologue.tick"})
    sent = [
        msgspec.structs.replace(each.event, event_id=None)
        for each in live.commands
        if isinstance(each, Send)
    ]

    assert sent == expected


def test_the_end_of_a_replaced_connection() -> None:
    """It ends the response for which a request waited."""
    live, service = begun()
    service.begin()
    live.play(service)
    live.epoch = 1
    live.note({"type": "duologue.connected"})
    assert live.note(REQUEST) == ()
    live.epoch = 0
    assert live.note({"type": "duologue.disconnected", "expected": True}) == CREATE


def test_a_turn_that_is_deleted() -> None:
    """It gets no answer, so a request no longer waits for one."""
    live, service = begun()
    item_id = service.spoken("hello")
    live.play(service)
    assert live.note(REQUEST) == ()
    service.send("conversation.item.deleted", item_id=item_id)
    assert live.play(service) == CREATE


def test_a_turn_whose_end_has_no_time() -> None:
    """The wait for its answer has no beginning, so a request does not wait."""
    live, service = begun()
    item_id = service.start_speech()
    live.play(service)
    assert live.note(REQUEST) == ()
    stopped: Frame = {"type": "input_audio_buffer.speech_stopped", "item_id": item_id}
    commands = live.fold(to_record(stopped, live.seq + 1, at=None))

    assert [each.event.type for each in commands if isinstance(each, Send)] == [*CREATE]


TICK: Frame = {"type": "duologue.tick"}
OPENED: list[Frame] = [
    {"type": "duologue.connecting", "policy": POLICY},
    {"type": "duologue.connected"},
]


@enough
@given(HOSTILE, st.integers(0, 500), st.booleans(), st.booleans())
def test_no_record_that_makes_a_command_due_is_passed_over(
    stream: Stream, place: int, is_live: bool, has_ticks: bool
) -> None:
    """It requests the response that it makes due, and sets the next tick."""
    place %= len(stream) + 1
    at = 1000.0 if place == len(stream) else stream[place].at
    requested = to_record(REQUEST, at=at, epoch=stream[place - 1].epoch)
    opened = [to_record(frame, at=stream[0].at) for frame in OPENED if is_live]
    state = State()
    for record in [*opened, *stream[:place], requested, *stream[place:]]:
        state = followed(state, record)
        if has_ticks:
            tick = to_record(TICK, session=record.session, at=record.at)
            state = followed(state, tick)


def followed(before: State, record: Record) -> State:
    """The state after a record and after the events that follow from it."""
    seq = before.sessions.get(record.session, Session("s")).dedup.events + 1
    record = msgspec.structs.replace(record, seq=seq)
    after = reduce(before, record)
    found = react(before, record, after)
    sent = [each for each in found if isinstance(each, Send)]
    earlier, session = (
        each.sessions.get(record.session, Session(record.session))
        for each in (before, after)
    )
    is_live = session.connection.policy is not None
    # `session.created` begins a session that is not live.
    begins = is_live or not isinstance(record.event, ev.Connected)
    if response_due(earlier) is None and begins:
        is_due = response_due(session) is not None
        assert sum(is_queued(each.event) for each in sent) == is_due, record
    if is_live and tick_at(earlier) != tick_at(session):
        assert WakeAt(session.id, tick_at(session)) in found
    for command in sent:
        how: Any = {"dir": "out", "at": record.at, "epoch": session.connection.epoch}
        out = Record.of(encode(command.event), seq=0, session=record.session, **how)
        after = followed(after, out)
    return after


def test_a_silent_response_of_an_earlier_connection() -> None:
    """It is not cancelled: the present connection does not know it."""
    live, service = begun()
    assert live.note(REQUEST) == CREATE
    service.begin()
    live.play(service)
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    live.note({"type": "duologue.connected"})
    assert live.state.sessions["s"].responses.active is not None
    live.commands.clear()
    for _ in range(3):
        live.at += SILENCE_TIMEOUT
        live.note({"type": "duologue.tick"})

    assert live.state.sessions["s"].responses.active is None
    assert [each for each in live.commands if isinstance(each, Send)] == []


# Outputs that the service refuses.


def sent_output(live: Live, call_id: str) -> tuple[str, ...]:
    """The output of a function, sent, but not confirmed."""
    item: Frame = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    frame: Frame = {"type": "conversation.item.create", "event_id": f"e_{call_id}"}
    return live.note({**frame, "item": {**item, "id": f"o_{call_id}"}}, "out")


def refused(live: Live, call_id: str, **error: Any) -> tuple[str, ...]:
    """The service refuses the output of a function."""
    error = {"type": "invalid_request_error", "message": "no", **error}
    error = {"event_id": f"e_{call_id}", **error}
    return live.note({"type": "error", "error": error})


def told(live: Live) -> list[tuple[str, str | None]]:
    problems = live.state.sessions["s"].problems
    return [(each.message, each.item_id) for each in problems]


WITHOUT_ID: list[Frame] = [
    {"event_id": None},
    {"event_id": None, "type": "server_error", "param": "item.output"},
]


@pytest.mark.parametrize("error", [{}, *WITHOUT_ID])
@pytest.mark.parametrize("first", ["a", "b", "c"])
@pytest.mark.parametrize("is_last", [True, False])
def test_one_of_several_outputs_is_refused(
    error: Frame, first: str, is_last: bool
) -> None:
    """The user is told, and the others are answered once, whichever it is."""
    live, service = begun()
    calling("a", "b", "c", live=live, service=service)
    rest = [name for name in "abc" if name != first]
    if not is_last:
        assert sent_output(live, first) == refused(live, first, **error) == ()
    assert output(live, rest[0]) == ()
    assert output(live, rest[1]) == (() if is_last else CREATE)
    if is_last:
        assert sent_output(live, first) == ()
        assert refused(live, first, **error) == CREATE
    why = f"the output of f ({first}) was refused: no"
    assert told(live) == [(why, f"i_{first}")]
    assert not select_is_settled(live.state.sessions["s"])
    service.reply("done")
    assert live.play(service) == ()
    [reply] = select_replies(live.state.sessions["s"])
    assert (reply.status, len(reply.responses)) == ("completed", 2)
    assert [each.error for each in reply.calls if each.call_id == first] == ["no"]
    assert select_is_settled(live.state.sessions["s"])


def test_all_outputs_are_refused() -> None:
    """No response is requested, which would only call again; the reply has failed."""
    live, service = begun()
    calling("a", "b", live=live, service=service)
    for name in "ab":
        assert sent_output(live, name) == refused(live, name) == ()
    session = live.state.sessions["s"]
    assert select_is_settled(session)
    [reply] = select_replies(session)
    assert (reply.status, reply.reason) == ("failed", "no")
    # The application may send another output.
    assert sent_output(live, "a") == ()
    assert not select_is_settled(live.state.sessions["s"])
    assert output(live, "a") == CREATE


def test_an_output_is_refused_after_the_answer_was_requested() -> None:
    """No other response is requested; and what is known is not refused again."""
    live, service = begun()
    calling("a", "b", live=live, service=service)
    assert output(live, "a") == sent_output(live, "b") == ()
    assert live.note(REQUEST) == CREATE
    assert refused(live, "b") == refused(live, "b") == refused(live, "a") == ()
    service.reply("done")
    assert live.play(service) == ()
    assert told(live)[1:] == [("no", None), ("no", None)]
    assert select_is_settled(live.state.sessions["s"])


def test_an_output_is_refused_on_a_later_connection() -> None:
    """It was sent again there; the rest is as on the first one."""
    live, service = begun()
    calling("a", "b", live=live, service=service)
    assert output(live, "a") == sent_output(live, "b") == ()
    live.note({"type": "duologue.disconnected", "lost": True})
    live.epoch = 1
    live.note({"type": "duologue.connected"})
    service.created()
    live.play(service)
    assert sent_output(live, "b") == ()
    assert refused(live, "b") == CREATE


def test_an_output_that_is_confirmed_after_all() -> None:
    """An error may have meant another event: the output counts."""
    live, service = begun()
    calling("a", live=live, service=service)
    assert sent_output(live, "a") == refused(live, "a", event_id=None) == ()
    item: Frame = {"type": "function_call_output", "call_id": "a", "output": "1"}
    item["id"] = "o_a"
    assert live.note({"type": "conversation.item.added", "item": item}) == CREATE
    session = live.state.sessions["s"]
    assert session.conversation.calls["a"].output_refused is False


@pytest.mark.parametrize(
    "error",
    [
        {"event_id": "another"},
        {"event_id": None, "type": "server_error"},
        {"event_id": None, "code": "bad_response_create"},
        {"event_id": None, "param": "session.voice"},
    ],
)
def test_errors_that_refuse_no_output(error: Frame) -> None:
    """They are about another event, or may be about anything."""
    live, service = begun()
    calling("a", live=live, service=service)
    assert sent_output(live, "a") == refused(live, "a", **error) == ()
    assert told(live) == [("no", None)]
    session = live.state.sessions["s"]
    assert session.conversation.calls["a"].output_refused is False


def test_the_refused_output_of_a_call_id_that_is_used_again() -> None:
    """The error names its event, so it is the output of that call."""
    live, service = begun()
    response = service.begin()
    items: list[Frame] = [
        {"id": name, "type": "function_call", "call_id": "a", "name": name}
        | {"arguments": "{}", "status": "completed"}
        for name in ("x", "y")
    ]
    service.end(response, items)
    assert live.play(service) == ("RunTool", "RunTool")
    output_of: Frame = {"type": "function_call_output", "call_id": "a", "output": "1"}
    for name in ("x", "y"):
        frame = {"type": "conversation.item.create", "event_id": f"e_{name}"}
        live.note({**frame, "item": {**output_of, "id": f"o_{name}"}}, "out")
    refused(live, "y")
    assert told(live) == [("the output of y (a) was refused: no", "y")]
    added = {"type": "conversation.item.added", "item": {**output_of, "id": "o_x"}}
    assert live.note(added) == CREATE
    items_now = live.state.sessions["s"].items
    found = [each for name in ("x", "y") if (each := items_now[name].call) is not None]
    assert [(each.name, each.output, each.error) for each in found] == [
        ("x", "1", None),
        ("y", None, "no"),
    ]
