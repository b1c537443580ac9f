"""The inputs that a response answers, in the streams of services and clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from duologue.core import Session, fold, select_answers, select_reply
from duologue.core.reducer.requests.inputs import MAX_INPUTS
from duologue.core.testing.session_script import PlannedAnswer, Script
from duologue.core.testing.stream import Stream, to_records

from ...effects.live import Live
from ...strategies import HOSTILE, scripts
from ...talk import Frame, Service, message

CREATE: Frame = {"type": "response.create"}
USER, ASSISTANT = "user", "assistant"


class Talk:
    """A session that is played at once, by a live client or from a log."""

    def __init__(self, *, sends: bool = True) -> None:
        self.live, self.service = Live(sends=sends), Service()
        self.service.created()
        self.played()

    def played(self) -> None:
        self.live.play(self.service)

    def note(self, type: str, **fields: Any) -> None:
        self.played()
        self.live.note({"type": type, **fields}, _direction(type))

    def create(self, text: str, item_id: str | None = None, role: str = USER) -> None:
        """The client sends a message."""
        kind = "output_text" if role == ASSISTANT else "input_text"
        item: Frame = {"type": "message", "role": role}
        item |= {"content": [{"type": kind, "text": text}]}
        item |= {"id": item_id} if item_id else {}
        self.note("conversation.item.create", item=item, event_id=f"e_{text}")

    def added(self, text: str, item_id: str, role: str = USER) -> None:
        """The service confirms a message."""
        kind = "output_text" if role == ASSISTANT else "input_text"
        self.service.put(message(item_id, role, [{"type": kind, "text": text}]))

    def ask(self, item_id: str) -> None:
        """The application requests the answer to a message."""
        self.note("duologue.requested", event=CREATE, item_id=item_id)

    def speak(self) -> str:
        item_id = self.service.start_speech()
        self.service.end_speech(item_id)
        return item_id

    def reply(self) -> str:
        self.service.reply("Hi.", spoken=False)
        self.played()
        return self.session.responses.order.last or ""

    def call(self, *names: str) -> list[str]:
        """A response that calls these functions; returns the ids of the calls."""
        response = self.service.begin()
        made = [
            self.service.call(response, name, ["{}"], index=index)
            for index, name in enumerate(names)
        ]
        self.service.end(response, made)
        self.played()
        return [item["call_id"] for item in made]

    @property
    def session(self) -> Session:
        return self.live.state.sessions["s"]

    @property
    def found(self) -> list[tuple[str, tuple[str, ...]]]:
        self.played()
        return [(one.kind, one.item_ids) for one in select_answers(self.session)]


def _direction(type: str) -> str | None:
    """A fact is local, an event is sent."""
    return None if type.startswith("duologue.") else "out"


def _typed(*item_ids: str) -> tuple[str, tuple[str, ...]]:
    return "typed", item_ids


def _spoken(*item_ids: str) -> tuple[str, tuple[str, ...]]:
    return "spoken", item_ids


def _output(*item_ids: str) -> tuple[str, tuple[str, ...]]:
    return "tool_output", item_ids


NOTHING: tuple[str, tuple[str, ...]] = ("nothing", ())
UNKNOWN: tuple[str, tuple[str, ...]] = ("unknown", ())


@given(scripts(5))
def test_the_answers_of_a_script(played: Script) -> None:
    """Each response answers the inputs that its plan names."""
    session = fold(to_records(played.frames)).sessions["s"]
    found = [
        PlannedAnswer(one.response_id, one.kind, one.item_ids)
        for one in select_answers(session)
        if session.responses.by_id[one.response_id].in_conversation
    ]

    assert found == list(played.answers)


@given(HOSTILE)
def test_no_input_is_answered_twice(stream: Stream) -> None:
    """Nor by a response that began before it. The last input is the cause."""
    for session in fold(stream).sessions.values():
        spoken: list[str] = []
        for answer in select_answers(session):
            response = session.responses.by_id[answer.response_id]
            began = response.turn.created_at
            for one in response.inputs or ():
                spoken += [one.item_id] if one.kind == "spoken" else []
                assert one.at is None or began is None or one.at <= began
            assert bool(answer.item_ids) is (answer.kind not in ("nothing", "unknown"))
        assert len(spoken) == len(set(spoken))


def test_overlapping_turns() -> None:
    """Speech that goes on when a response begins is answered by the next one."""
    talk = Talk()
    first = talk.speak()
    second = talk.service.start_speech()
    talk.reply()
    talk.service.end_speech(second)
    talk.reply()

    assert talk.found == [_spoken(first), _spoken(second)]


def test_two_turns_before_one_response() -> None:
    """A pause ended the first turn, and the user spoke on: one response for both."""
    talk = Talk()
    both = talk.speak(), talk.speak()
    talk.reply()

    assert talk.found == [_spoken(*both)]
    replies = [select_reply(talk.session, item_id) for item_id in both]
    assert [reply and reply.text for reply in replies] == ["Hi.", "Hi."]


def test_a_barge_in() -> None:
    """The next response answers the barge-in, not the turn that was cut off."""
    talk = Talk()
    first = talk.speak()
    response = talk.service.begin()
    talk.service.say(response, ["One "])
    second = talk.service.start_speech()
    talk.service.end(response, [], "cancelled", type="cancelled")
    talk.service.end_speech(second)
    talk.reply()

    assert talk.found == [_spoken(first), _spoken(second)]


def test_a_response_before_committed() -> None:
    """Speech counts from its end; a later ``committed`` is not another turn."""
    talk = Talk()
    item_id = talk.service.start_speech()
    talk.service.send("input_audio_buffer.speech_stopped", item_id=item_id)
    response = talk.service.begin()
    talk.service.send("input_audio_buffer.committed", item_id=item_id)
    talk.service.put(message(item_id, USER, [{"type": "input_audio"}]))
    talk.service.end(response, [])
    talk.reply()

    assert talk.found == [_spoken(item_id), UNKNOWN]


def test_a_committed_buffer_without_turn_detection() -> None:
    """The client commits the audio and requests the response."""
    talk = Talk()
    item_id = talk.service.name("item")
    talk.service.send("input_audio_buffer.committed", item_id=item_id)
    talk.note(**CREATE)
    talk.reply()
    # Only the item tells that it was spoken.
    talk.service.put(message("audio", USER, [{"type": "input_audio"}]))
    talk.reply()
    # The item arrives before ``committed``.
    talk.service.put(message("item", USER, []))
    talk.service.send("input_audio_buffer.committed", item_id="item")
    talk.reply()

    assert talk.found == [_spoken(item_id), _spoken("audio"), _spoken("item")]


def test_a_message_during_speech() -> None:
    """The response of turn detection answers the speech; the requested one follows."""
    talk = Talk()
    spoken = talk.service.start_speech()
    talk.create("hello", "m")
    talk.ask("m")
    talk.added("hello", "m")
    talk.service.end_speech(spoken)
    talk.reply()
    talk.reply()

    assert talk.found == [_spoken(spoken), _typed("m")]


def test_a_message_without_a_request_during_speech() -> None:
    """The response of turn detection answers both; the speech is its cause."""
    talk = Talk()
    spoken = talk.service.start_speech()
    talk.service.end_speech(spoken)
    talk.create("hello", "m")
    talk.added("hello", "m")
    talk.reply()

    assert talk.found == [_spoken("m", spoken)]


def test_a_message_during_a_reply() -> None:
    """Its request is queued, so another response in between does not answer it."""
    talk = Talk()
    first = talk.speak()
    response = talk.service.begin()
    talk.create("hello", "m")
    talk.ask("m")
    talk.added("hello", "m")
    second = talk.speak()
    talk.service.end(response, [])
    talk.reply()
    talk.reply()

    assert talk.found == [_spoken(first), _spoken(second), _typed("m")]


def test_two_messages_before_one_response() -> None:
    """Both are answered: with a request each, with one request, with no id sent."""
    talk = Talk()
    response = talk.service.begin()
    for name in ("m1", "m2"):
        talk.create(name, name)
        talk.ask(name)
        talk.added(name, name)
    talk.service.end(response, [])
    talk.reply()
    for name in ("m3", "m4"):
        talk.create(name)
    talk.note(**CREATE)
    for name in ("m3", "m4"):
        talk.added(name, name)
    talk.reply()

    assert talk.found == [NOTHING, _typed("m1", "m2"), _typed("m3", "m4")]


def test_a_message_that_the_service_did_not_have() -> None:
    """It handles events in order, so it confirms a message before the response."""
    talk = Talk()
    talk.create("one")
    talk.note(**CREATE)
    talk.create("two")
    talk.note(**CREATE)
    talk.added("one", "m1")
    talk.reply()
    talk.added("two", "m2")
    talk.reply()

    assert talk.found == [_typed("m1"), _typed("m2")]


def test_a_service_that_confirms_nothing() -> None:
    """The messages that were sent before the request are answered."""
    talk = Talk()
    talk.create("one", "m1")
    talk.note(**CREATE)
    talk.create("two", "m2")
    talk.reply()
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [_typed("m1"), _typed("m2")]


def test_a_request_for_a_message_that_the_log_lacks() -> None:
    """The request names it."""
    talk = Talk()
    talk.ask("m")
    talk.reply()

    assert talk.found == [_typed("m")]


def test_a_history() -> None:
    """A message of the assistant, of this or another client, ends the turn before."""
    for is_sent in (True, False):
        talk = Talk()
        history = {"u1": USER, "a1": ASSISTANT, "u2": USER, "s": "system"}
        for name, role in history.items() if is_sent else ():
            talk.create(name, role=role)
        if is_sent:
            talk.note(**CREATE)
        for name, role in history.items():
            talk.added(name, name, role)
        talk.reply()

        assert talk.found == [_typed("u2")]


def test_another_client() -> None:
    """Its message is known; for its request alone, the log does not tell."""
    talk = Talk()
    talk.added("hello", "m")
    talk.reply()
    talk.reply()

    assert talk.found == [_typed("m"), UNKNOWN]


def test_nothing() -> None:
    """A greeting, a request without input, and responses out of band."""
    talk = Talk()
    talk.service.reply("aside", in_band=False)
    talk.reply()
    talk.note(**CREATE)
    talk.reply()
    assert talk.found == [NOTHING, NOTHING, NOTHING]


def test_a_log_that_begins_later() -> None:
    """A response without an input is a greeting only if nothing precedes it."""
    live, service = Live(), Service()
    service.reply("Hi.", spoken=False)
    live.play(service)
    assert [one.kind for one in select_answers(live.state.sessions["s"])] == ["unknown"]

    talk = Talk()
    talk.service.start_speech()
    talk.reply()
    assert talk.found == [UNKNOWN]

    # The history is restored, but the last response is not.
    talk = Talk()
    talk.added("hello", "u", USER)
    talk.added("Hi.", "a", ASSISTANT)
    talk.reply()
    assert talk.found == [UNKNOWN]


def test_parallel_tools() -> None:
    """One response answers all outputs, in their order."""
    talk = Talk()
    spoken = talk.speak()
    one, two = talk.call("look", "count")
    second = talk.service.answer(two, "2")
    first = talk.service.answer(one, "1")
    talk.reply()

    assert talk.found == [_spoken(spoken), _output(second, first)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_speech_while_tools_run(number: int) -> None:
    """Outputs count once all of them are there: then the next response answers them."""
    talk = Talk()
    first = talk.speak()
    calls = talk.call("look", "count")
    early = [talk.service.answer(call_id, "1") for call_id in calls[:number]]
    second = talk.speak()
    talk.reply()
    late = [talk.service.answer(call_id, "1") for call_id in calls[number:]]
    if late:
        talk.reply()
        expected = [_spoken(second), _output(*early, *late)]
    else:
        expected = [_spoken(*early, second)]

    assert talk.found == [_spoken(first), *expected]


def test_a_request_that_does_not_wait_for_all_outputs() -> None:
    """The application requested it after the first; the next one answers both."""
    talk = Talk(sends=False)
    first = talk.speak()
    one, two = talk.call("look", "count")
    output = talk.service.answer(one, "1")
    for _ in range(2):
        talk.note(**CREATE)
        talk.reply()
    other = talk.service.answer(two, "2")
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [
        *(_spoken(first), _output(output), NOTHING),
        _output(output, other),
    ]


def test_an_approval() -> None:
    """The response that follows it answers it."""
    talk = Talk()
    response = talk.service.begin()
    request = talk.service.approval("shop", response)
    talk.service.end(response, [request])
    answer = talk.service.approve(request["id"])
    talk.reply()

    assert talk.found == [NOTHING, _output(answer)]


def test_an_output_of_an_unknown_call() -> None:
    """It counts at once."""
    talk = Talk()
    output = talk.service.answer("other", "1")
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [_output(output)]


def test_a_reconnect_between_a_message_and_its_answer() -> None:
    """The request is sent again; the time is that of the first sending."""
    talk = Talk()
    talk.create("hello", "m")
    talk.ask("m")
    at = talk.live.at - 0.1
    talk.note("duologue.disconnected", code=1006, retrying=True)
    talk.live.epoch = 1
    talk.note("duologue.connecting")
    talk.note("duologue.connected")
    talk.service.created()
    talk.create("hello", "m")
    talk.added("hello", "m")
    response = talk.reply()

    assert talk.found == [_typed("m")]
    [answer] = select_answers(talk.session)
    assert (answer.response_id, answer.at) == (response, at)


def test_a_reconnect_between_speech_and_its_answer() -> None:
    """Speech of a lost connection is not answered on the next one."""
    talk = Talk()
    talk.speak()
    talk.note("duologue.disconnected", code=1006, retrying=True)
    talk.live.epoch = 1
    talk.note("duologue.connecting")
    talk.note("duologue.connected")
    talk.service.created()
    talk.create("hello", "m")
    talk.added("hello", "m")
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [_typed("m")]


@pytest.mark.parametrize("is_spoken", [True, False])
def test_a_request_that_another_response_precedes(is_spoken: bool) -> None:
    """That response seemed to be its answer; the next one is."""
    talk = Talk()
    spoken = talk.speak() if is_spoken else None
    talk.create("hello", "m")
    talk.added("hello", "m")
    talk.note(**CREATE)
    response = talk.service.begin()
    code = "conversation_already_has_active_response"
    talk.service.send("error", error={"code": code, "message": "busy"})
    talk.service.end(response, [])
    talk.reply()

    first = _spoken(spoken) if spoken else UNKNOWN
    assert talk.found == [first, _typed("m")]


def test_a_refused_message() -> None:
    """No response answers it, even if the error comes after the response began."""
    talk = Talk()
    for name in ("m1", "m2"):
        talk.create(name, name)
    error = {"event_id": "e_m1", "message": "no"}
    talk.service.send("error", error=error)
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [_typed("m2")]


def test_a_message_that_is_refused_after_its_response_began() -> None:
    """The response answers nothing: it was requested for the message."""
    item: Frame = {"id": "m", "type": "message", "role": USER, "content": []}
    event: Frame = {"type": "conversation.item.create", "item": item, "event_id": "e"}
    talk = Talk()
    talk.note("duologue.requested", event=event)
    talk.ask("m")
    response = talk.service.begin()
    talk.service.send("error", error={"event_id": "e", "message": "no"})
    talk.service.end(response, [])

    assert talk.found == [NOTHING]


def test_an_interruption_withdraws_inputs() -> None:
    """A message whose request was withdrawn, and outputs, have no answer."""
    talk = Talk()
    talk.speak()
    [call_id] = talk.call("look")
    talk.live.sends = False
    talk.service.answer(call_id, "1")
    talk.service.start_speech()
    talk.create("hello", "m")
    talk.ask("m")
    talk.added("hello", "m")
    talk.note("duologue.interrupted")
    talk.create("again", "m2")
    talk.note(**CREATE)
    talk.added("again", "m2")
    talk.reply()

    assert talk.found[1:] == [_typed("m2")]


@pytest.mark.parametrize("is_begun", [True, False])
def test_an_interruption_of_a_request_in_flight(is_begun: bool) -> None:
    """A request that the service then refuses is withdrawn with its message."""
    talk = Talk()
    talk.create("hello", "m")
    talk.added("hello", "m")
    talk.ask("m")
    response = talk.service.begin() if is_begun else None
    talk.note("duologue.interrupted")
    code = "conversation_already_has_active_response"
    talk.service.send("error", error={"code": code, "message": "busy"})
    if response is not None:
        talk.service.end(response, [])
    talk.create("again", "m2")
    talk.added("again", "m2")
    talk.reply()

    assert talk.found == [*([UNKNOWN] if is_begun else []), _typed("m2")]


def test_a_deleted_message() -> None:
    """It was not in the conversation any more when the response began."""
    talk = Talk()
    for name in ("m1", "m2"):
        talk.added(name, name)
    talk.service.send("conversation.item.deleted", item_id="m1")
    talk.reply()

    assert talk.found == [_typed("m2")]


def test_a_response_whose_output_arrives_first() -> None:
    """It began before the message, whatever the order of later events."""
    talk = Talk()
    response = talk.service.name("resp")
    delta: Frame = {"delta": "Hi", "response_id": response, "item_id": "a"}
    talk.service.send("response.output_text.delta", **delta)
    talk.added("hello", "m")
    wire = {"id": response, "conversation_id": "c"}
    talk.service.send("response.created", response=wire)
    talk.service.send("response.done", response=wire)
    talk.reply()

    assert talk.found == [UNKNOWN, _typed("m")]


def test_an_output_that_is_added_before_its_response() -> None:
    """A message of the assistant that becomes an output is not part of a history."""
    talk = Talk()
    talk.added("hello", "m")
    talk.service.put(message("a", ASSISTANT, []))
    item = message("a", ASSISTANT, [])
    at = {"response_id": "r", "output_index": 0}
    talk.service.send("response.output_item.added", **at, item=item)
    wire = {"id": "r", "conversation_id": "c"}
    talk.service.send("response.done", response=wire)

    assert talk.found == [_typed("m")]


def test_a_replaced_connection() -> None:
    """A late response of it answers its own inputs, not those of the next one."""
    talk = Talk()
    old = talk.speak()
    talk.played()
    talk.live.epoch = 1
    talk.note("duologue.connected")
    talk.service.created()
    new = talk.speak()
    talk.played()
    talk.live.epoch = 0
    talk.reply()
    late = talk.speak()
    talk.reply()
    talk.live.epoch = 1
    talk.reply()

    assert talk.found == [_spoken(old), _spoken(late), _spoken(new)]


def test_an_item_that_is_restored() -> None:
    """The echo of an item on the next connection is not another input."""
    talk = Talk()
    talk.added("hello", "m")
    talk.reply()
    talk.live.epoch = 1
    talk.note("duologue.connected")
    talk.service.created()
    talk.create("hello", "m")
    talk.added("hello", "m")
    talk.reply()

    assert talk.found == [_typed("m"), UNKNOWN]


def test_many_messages() -> None:
    """The session keeps the last ones."""
    talk = Talk()
    names = [f"m{number}" for number in range(MAX_INPUTS + 2)]
    for name in names:
        talk.added(name, name)
    talk.reply()

    assert talk.found == [_typed(*names[2:])]


def _play_unknown(talk: Talk) -> None:
    talk.note("conversation.item.create", item={"type": "other", "id": "x"})


def _play_system(talk: Talk) -> None:
    talk.create("Be brief.", "x", role="system")


@pytest.mark.parametrize("play", [_play_unknown, _play_system])
def test_an_item_that_is_no_input(play: Callable[[Talk], None]) -> None:
    """Only messages of the user, outputs and approvals are inputs."""
    talk = Talk()
    play(talk)
    talk.note(**CREATE)
    talk.reply()

    assert talk.found == [NOTHING]
