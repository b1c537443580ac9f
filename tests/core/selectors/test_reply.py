"""Replies: which responses belong to one, when it is over, and how it ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from duologue.core import (
    State,
    fold,
    reduce,
    select_is_settled,
    select_replies,
    select_reply,
    select_responses,
)
from duologue.core.effects.deadlines import tick_at
from duologue.core.selectors.reply import (
    Reply,
    ended_replies,
    is_reply_over,
    responses_after,
)
from duologue.core.testing.stream import Stream, to_records

from ..effects.live import Live
from ..strategies import HOSTILE, legal
from ..talk import Frame, Service, to_record

TICK: Frame = {"type": "duologue.tick"}


def ended_along(stream: Stream) -> tuple[list[Reply], State]:
    """The replies that end along a stream of one session, as they were then."""
    state, found = State(), list[Reply]()
    last: str | None = None
    waiting: tuple[str, ...] = ()
    for record in stream:
        state = reduce(state, record)
        session = state.sessions["s"]
        waiting += responses_after(session, last)
        last = session.responses.order.last
        over, waiting = ended_replies(session, waiting)
        found += over
    return found, state


def _outline(reply: Reply) -> Any:
    return reply.status, [one.id for one in reply.responses]


@given(legal(4))
def test_a_reply_ends_once(stream: Stream) -> None:
    """A reply that has ended stays as it was; all end, in the order of their end."""
    closed = to_record({"type": CLOSED}, epoch=stream[-1].epoch)
    found, state = ended_along(Stream([*stream, closed]))
    session = state.sessions["s"]
    every = select_replies(session)

    assert sorted(map(_outline, found)) == sorted(map(_outline, every))
    if not any(record.event.type == DELETED for record in stream):
        texts = {reply.responses[0].id: reply.text for reply in found}
        assert texts == {reply.responses[0].id: reply.text for reply in every}


CLOSED, DELETED = "duologue.closed", "conversation.item.deleted"


@given(HOSTILE)
def test_every_response_belongs_to_one_reply(stream: Stream) -> None:
    """No reply is in progress in a settled session, or after its ticks."""
    live = Live()
    for record in stream:
        live.fold(record)
        session = live.state.sessions.get(record.session)
        if session is None:
            continue
        replies = select_replies(session)
        ids = [one.id for reply in replies for one in reply.responses]
        wanted = [
            one.id
            for one in select_responses(session)
            if one.announced and one.in_conversation
        ]
        assert sorted(ids) == sorted(wanted)
        if select_is_settled(session):
            assert all(reply.status != "in_progress" for reply in replies)
    for name in live.state.sessions:
        while (at := tick_at(live.state.sessions[name])) is not None:
            live.fold(to_record(TICK, session=name, at=at))


def requested(live: Live, service: Service, text: str = "how many?") -> str:
    """A message whose answer is requested with its id."""
    item_id = service.typed(text)
    live.play(service)
    create: Frame = {"type": "response.create"}
    live.note({"type": "duologue.requested", "event": create, "item_id": item_id})
    return item_id


def begun() -> tuple[Live, Service]:
    live, service = Live(), Service()
    service.created()
    live.play(service)
    return live, service


def status(live: Live, item_id: str) -> str:
    session = live.state.sessions["s"]
    reply = select_reply(session, item_id)
    assert reply is not None
    assert is_reply_over(session, item_id) is (reply.status != "in_progress")
    return reply.status


def called(live: Live, service: Service, *names: str) -> list[Frame]:
    response = service.begin()
    said = service.say(response, ["Let me check."], spoken=False)
    made = [
        service.call(response, name, ["{}"], index=number)
        for number, name in enumerate(names, start=1)
    ]
    service.end(response, [service.finish(said), *made])
    live.play(service)
    return made


def test_a_reply_with_tools_is_one() -> None:
    """It is over after the answer to the outputs, not after the call."""
    live, service = begun()
    item_id = requested(live, service)
    seen = [status(live, item_id)]
    one, two = called(live, service, "look", "count")
    seen.append(status(live, item_id))
    for made in (one, two):
        service.answer(made["call_id"], "12")
        live.play(service)
        seen.append(status(live, item_id))
    response = service.begin()
    live.play(service)
    seen.append(status(live, item_id))
    service.end(response, [service.finish(service.say(response, ["Twelve."]))])
    live.play(service)

    assert seen == ["in_progress"] * len(seen)
    reply = select_reply(live.state.sessions["s"], item_id)
    assert reply is not None
    assert (reply.status, reply.item_id) == ("completed", item_id)
    assert reply.text == "Let me check.\nTwelve."
    assert [call.name for call in reply.calls] == ["look", "count"]
    assert len(reply.responses) == 2


def test_a_turn_during_a_tool_has_its_own_reply() -> None:
    """The response to words that are spoken while a tool runs is another reply."""
    live, service = begun()
    item_id = requested(live, service)
    [made] = called(live, service, "look")
    spoken = service.spoken("and you?")
    other = service.reply("Fine.", spoken=False)
    live.play(service)
    service.answer(made["call_id"], "12")
    live.play(service)
    service.reply("Twelve.", spoken=False)
    live.play(service)

    first, second = select_replies(live.state.sessions["s"])
    assert first.text == "Let me check.\nTwelve."
    assert (first.item_id, second.item_id) == (item_id, spoken)
    assert [line.item_id for line in second.lines] == [other]


def test_a_request_waits_for_the_active_response() -> None:
    """A response that began before the message was requested is no answer to it."""
    live, service = begun()
    first = requested(live, service)
    response = service.begin()
    live.play(service)
    second = requested(live, service)
    service.end(response, [service.finish(service.say(response, ["One."]))])
    live.play(service)

    assert (status(live, first), status(live, second)) == ("completed", "in_progress")
    service.reply("Two.", spoken=False)
    live.play(service)
    reply = select_reply(live.state.sessions["s"], second)
    assert reply is not None
    assert reply.text == "Two."


def test_two_requests_that_one_response_answers() -> None:
    """Messages whose requests were queued together have the same reply."""
    live, service = begun()
    response = service.begin()
    live.play(service)
    both = [requested(live, service), requested(live, service)]
    service.end(response, [])
    service.reply("Both.", spoken=False)
    live.play(service)

    replies = [select_reply(live.state.sessions["s"], item_id) for item_id in both]
    assert [reply and reply.text for reply in replies] == ["Both.", "Both."]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("completed", "completed"),
        ("cancelled", "interrupted"),
        ("incomplete", "failed"),
        ("failed", "failed"),
    ],
)
def test_the_end_of_a_response_ends_the_reply(end: str, expected: str) -> None:
    """A response that is not completed ends the reply, even if it calls a tool."""
    live, service = begun()
    item_id = requested(live, service)
    response = service.begin()
    calls = [service.call(response, "look", ["{}"])] if end != "completed" else []
    service.end(response, calls, end, type=end, reason="why")
    live.play(service)

    assert status(live, item_id) == expected
    reply = select_reply(live.state.sessions["s"], item_id)
    assert reply is not None
    assert (reply.reason is None) is (expected == "completed")


def test_the_audio_belongs_to_the_reply() -> None:
    """It is over when its audio has been played, or interrupted if that is cut off."""
    for last, expected in (("stopped", "completed"), ("cleared", "interrupted")):
        live, service = begun()
        item_id = requested(live, service)
        response = service.begin()
        said = service.say(response, ["One ", "two."])
        service.send("output_audio_buffer.started", response_id=response)
        service.end(response, [service.finish(said)])
        live.play(service)
        assert status(live, item_id) == "in_progress"
        service.send(f"output_audio_buffer.{last}", response_id=response)
        live.play(service)
        assert status(live, item_id) == expected


def test_a_reply_that_never_comes() -> None:
    """A refused request, a lost call and an unknown item end in a failure or None."""
    live, service = begun()
    item_id = requested(live, service)
    sent = live.commands[-1].event.event_id  # type: ignore[union-attr]
    error = {"type": "invalid_request_error", "message": "no", "event_id": sent}
    service.send("error", error=error)
    live.play(service)
    reply = select_reply(live.state.sessions["s"], item_id)
    assert reply == Reply(item_id, "failed", "no")

    item_id = requested(live, service)
    called(live, service, "look")
    while (at := tick_at(live.state.sessions["s"])) is not None:
        live.fold(to_record(TICK, at=at))
    reply = select_reply(live.state.sessions["s"], item_id)
    assert reply is not None
    assert (reply.status, reply.reason) == ("failed", "a call has no output")
    assert select_reply(live.state.sessions["s"], "unknown") is None


def test_a_spoken_reply() -> None:
    """The item that was spoken is the key of its reply."""
    live, service = begun()
    item_id = service.start_speech()
    live.play(service)
    seen = [status(live, item_id)]
    service.end_speech(item_id)
    live.play(service)
    seen.append(status(live, item_id))
    service.reply("Hello.", spoken=False)
    live.play(service)

    assert [*seen, status(live, item_id)] == ["in_progress"] * 2 + ["completed"]


def test_a_lost_request_is_asked_again() -> None:
    """The message of a request in flight keeps its reply on the next connection."""
    live, service = begun()
    item_id = requested(live, service)
    live.note({"type": "duologue.disconnected", "code": 1006, "retrying": True})
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    live.note({"type": "duologue.connected"})
    assert status(live, item_id) == "in_progress"
    service.created()
    service.reply("Here.", spoken=False)
    live.play(service)
    assert status(live, item_id) == "completed"


def test_the_state_of_old_logs_has_replies() -> None:
    """Without requests with an item, a reply is to the messages before it."""
    service = Service()
    item_id = service.typed("hello")
    service.reply("Hi.", spoken=False)
    [reply] = select_replies(session := fold(to_records(service.frames)).sessions["s"])

    assert (reply.item_id, reply.text, reply.status) == (item_id, "Hi.", "completed")
    assert select_reply(session, item_id) == reply


def test_a_reply_whose_request_was_withdrawn() -> None:
    """An earlier problem is not its reason."""
    live, service = begun()
    service.send("error", error={"message": "earlier"})
    live.play(service)
    service.start_speech()
    item_id = requested(live, service)
    live.note({"type": "duologue.interrupted"})
    reply = select_reply(live.state.sessions["s"], item_id)

    assert reply == Reply(item_id, "interrupted", "the request was withdrawn")


def test_a_reply_whose_outputs_were_withdrawn() -> None:
    """The outputs arrived, and the application interrupted before their answer."""
    live, service = begun()
    item_id = requested(live, service)
    [made] = called(live, service, "look")
    live.sends = False
    service.answer(made["call_id"], "12")
    live.play(service)
    assert status(live, item_id) == "in_progress"
    live.note({"type": "duologue.interrupted"})
    reply = select_reply(live.state.sessions["s"], item_id)

    assert reply is not None
    assert (reply.status, reply.reason) == ("interrupted", "the request was withdrawn")
    assert select_is_settled(live.state.sessions["s"])


def test_a_reply_whose_requeued_outputs_were_withdrawn() -> None:
    """Their answer was queued again after a loss; the application interrupted then."""
    live, service = begun()
    item_id = requested(live, service)
    [made] = called(live, service, "look")
    service.answer(made["call_id"], "12")
    live.play(service)
    live.note({"type": "duologue.disconnected", "retrying": True})
    assert live.state.sessions["s"].responses.queued is not None
    assert status(live, item_id) == "in_progress"
    live.note({"type": "duologue.interrupted"})
    reply = select_reply(live.state.sessions["s"], item_id)

    assert reply is not None
    assert (reply.status, reply.reason) == ("interrupted", "the request was withdrawn")


def test_a_reply_whose_outputs_got_no_answer() -> None:
    """Its reason is the problem of the last request, not a later one."""
    live, service = begun()
    item_id = requested(live, service)
    [made] = called(live, service, "look")
    service.answer(made["call_id"], "12")
    live.play(service)
    for error in ({"code": "bad_response_create", "message": "why"}, {"message": "no"}):
        service.send("error", error=error)
    live.play(service)
    reply = select_reply(live.state.sessions["s"], item_id)

    assert reply is not None
    assert (reply.status, reply.reason) == ("failed", "why")
    assert [one.answers for one in reply.responses] == [(item_id,)]


def test_a_reply_to_a_refused_message() -> None:
    """It failed, even if its request is answered; a later problem is no reason."""
    live, service = begun()
    item: Frame = {"id": "m", "type": "message", "role": "user", "content": []}
    create: Frame = {"type": "conversation.item.create", "item": item}
    live.note({"type": "duologue.requested", "event": {**create, "event_id": "e"}})
    request: Frame = {"type": "response.create"}
    live.note({"type": "duologue.requested", "event": request, "item_id": "m"})
    service.send("error", error={"event_id": "e", "message": "refused"})
    service.reply("Hi.", spoken=False)
    service.send("error", error={"message": "later"})
    live.play(service)
    reply = select_reply(live.state.sessions["s"], "m")

    assert status(live, "m") == "failed"
    assert reply == Reply("m", "failed", "refused")


def test_a_request_of_a_session_that_is_over() -> None:
    """It is not answered any more."""
    live, service = begun()
    service.start_speech()
    item_id = requested(live, service)
    assert status(live, item_id) == "in_progress"
    live.note({"type": "duologue.disconnected", "expected": True})
    reply = select_reply(live.state.sessions["s"], item_id)

    assert reply == Reply(item_id, "failed", "the session is over")


@pytest.mark.parametrize(
    ("reason", "expected"), [("gone", "gone"), (None, "the session is over")]
)
def test_a_reply_of_a_session_that_is_over(reason: str | None, expected: str) -> None:
    """A call that still waits for its output is not answered any more."""
    live, service = begun()
    item_id = requested(live, service)
    called(live, service, "look")
    assert status(live, item_id) == "in_progress"
    live.note({"type": "duologue.disconnected", "expected": True, "reason": reason})
    session = live.state.sessions["s"]
    reply = select_reply(session, item_id)
    assert reply is not None

    assert (reply.status, reply.reason) == ("failed", expected)
    assert [reply] == list(select_replies(session))


def test_a_response_that_is_known_by_its_text_only() -> None:
    """Whether it is in the conversation is unknown, so its reply is not over."""
    live, _ = begun()
    delta: Frame = {"type": "response.output_text.delta", "delta": "x"}
    live.note({**delta, "response_id": "r", "item_id": "a"})
    ended = ended_replies(live.state.sessions["s"], ("r",))
    live.note({"type": "response.done", "response": {"id": "r"}})
    session = live.state.sessions["s"]

    assert ended == ((), ("r",))
    assert ended_replies(session, ("r",)) == (select_replies(session), ())


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (False, False, "no response began"),
        (True, False, "no response began"),
        (False, True, "why"),
        (True, True, "why"),
    ],
)
def test_a_message_without_a_response(before: bool, after: bool, reason: str) -> None:
    """Only a problem that is not older than the message is its reason."""
    live, service = begun()
    if before:
        service.send("error", error={"message": "earlier"})
    live.play(service)
    item_id = service.typed("hello")
    live.play(service)
    if after:
        service.send("error", error={"message": "why"})
    live.play(service)

    reply = select_reply(live.state.sessions["s"], item_id)
    assert reply == Reply(item_id, "failed", reason)
