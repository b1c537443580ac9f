"""What to do because of what happened."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from duologue.core import State, encode, fold, react, reduce
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.effects.commands import Command, Reconnect, Send
from duologue.core.effects.rules import (
    HAND_OVER_DEADLINE,
    HAND_OVER_EARLY,
    PATIENCE,
    may_hand_over,
)
from duologue.core.testing.stream import Stream

from ..strategies import hostile
from ..talk import Frame, Service, audio, fold_frames, to_record, to_records

STARTED: Frame = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "barge-in",
    "item_id": "u",
    "audio_start_ms": 0,
}
WISH: Frame = {"type": "duologue.requested", "event": {"type": "response.create"}}
CREATE = ("response.create",)


class Live:
    """Folds frames as a live client does, and carries out what follows, or not."""

    def __init__(self, *, sends: bool = True, epoch: int = 0) -> None:
        self.state = State()
        self.commands: list[Command] = []
        self.seq = 0
        self.at = 1000.0
        self.sends = sends
        self.epoch = epoch

    def note(self, frame: Frame | bytes, dir: Any = None) -> tuple[str, ...]:
        """One record; the types of the client events, or reasons, that follow."""
        self.seq += 1
        self.at += 0.1
        how: Any = {"at": self.at, "epoch": self.epoch, "dir": dir}
        record = to_record(frame, self.seq, **how)
        before, self.state = self.state, reduce(self.state, record)
        found = react(before, record, self.state)
        self.commands += found
        for command in found if self.sends else ():
            if isinstance(command, Send):
                self.note(encode(command.event), "out")
        return tuple(
            command.reason if isinstance(command, Reconnect) else command.event.type
            for command in found
        )

    def play(self, service: Service) -> tuple[str, ...]:
        """All frames that gathered; what follows from any of them."""
        frames, service.frames = service.frames, []
        return tuple(name for frame in frames for name in self.note(frame))


def begun(**config: Any) -> tuple[Live, Service]:
    """A session that stands."""
    live, service = Live(), Service()
    service.created(**config)
    assert live.play(service) == ()
    return live, service


# Barge-in.


def spoken(
    played: int | None, deltas: int = 100, *, ends: bool = True, **config: Any
) -> tuple[State, str]:
    """A reply of 10 ms of audio a delta (PCM), of which so much was played."""
    service = Service()
    service.created(**config)
    service.spoken("hello")
    if ends:
        item_id = service.reply(*["a"] * deltas)
    else:
        item_id = service.say(service.begin(), ["a"] * deltas)["item_id"]
    service.reply("aside", in_band=False)
    if played is not None:
        service.frames.append(
            {"type": "duologue.played", "item_id": item_id, "ms": played}
        )
    return fold(to_records(service.frames)), item_id


def reaction(state: State, frame: Frame, **how: Any) -> tuple[Command, ...]:
    record = to_record(frame, 77, **how)
    return react(state, record, reduce(state, record))


@pytest.mark.parametrize(("played", "cut"), [(420, 420), (0, 0), (999, 999), (-5, 0)])
def test_a_barge_in_truncates_what_was_played(played: int, cut: int) -> None:
    """At what the user heard, with an id that anyone can work out again."""
    state, item_id = spoken(played)

    assert (
        Send(
            "s",
            ev.ConversationItemTruncate(
                event_id="s.77.0", item_id=item_id, content_index=0, audio_end_ms=cut
            ),
        ),
    ) == reaction(state, STARTED)


@pytest.mark.parametrize("played", [None, 1000, 5000])
def test_nothing_to_truncate(played: int | None) -> None:
    """Where nobody reports a position (WebRTC), or all that came was heard."""
    state, _ = spoken(played)

    assert reaction(state, STARTED) == ()


@pytest.mark.parametrize(("deltas", "cut"), [(100, [1000]), (0, [])])
def test_more_is_to_come(deltas: int, cut: list[int]) -> None:
    """All that arrived was heard, and the rest will not be: cut there."""
    state, _ = spoken(5000, deltas, ends=False)
    sent = [c.event for c in reaction(state, STARTED) if isinstance(c, Send)]

    assert cut == [
        event.audio_end_ms
        for event in sent
        if isinstance(event, ev.ConversationItemTruncate)
    ]


def test_the_format_in_force_counts() -> None:
    """G.711 has 8 bytes a ms, so that more time has arrived."""
    state, item_id = spoken(5000, audio={"output": {"format": {"type": "audio/pcmu"}}})
    (command,) = reaction(state, STARTED)

    assert isinstance(command, Send)
    assert commands.truncate(item_id, 5000) == msgspec.structs.replace(
        command.event, event_id=None
    )


def test_the_part_that_is_heard() -> None:
    """Audio need not be the first part of an item."""
    service = Service()
    response = service.begin()
    at: Frame = {"response_id": response, "output_index": 0, "content_index": 1}
    service.send("response.output_audio.delta", item_id="i", delta=audio(4800), **at)
    service.frames.append({"type": "duologue.played", "item_id": "i", "ms": 20})
    (command,) = reaction(fold(to_records(service.frames)), STARTED)

    assert isinstance(command, Send)
    assert isinstance(command.event, ev.ConversationItemTruncate)
    assert (command.event.content_index, command.event.audio_end_ms) == (1, 20)


def test_nobody_is_interrupted_where_that_is_switched_off() -> None:
    """The service goes on speaking."""
    detection = {"type": "server_vad", "interrupt_response": False}
    state, _ = spoken(420, audio={"input": {"turn_detection": detection}})

    assert reaction(state, STARTED) == ()


def test_truncated_already() -> None:
    """The service knows."""
    state, item_id = spoken(420)
    at = {"item_id": item_id, "content_index": 0}
    cut: Frame = {"type": "conversation.item.truncated", **at, "audio_end_ms": 420}

    assert reaction(reduce(state, to_record(cut)), STARTED) == ()


def test_not_what_another_connection_brought() -> None:
    """The service of now has it as text."""
    state, _ = spoken(420)
    connecting = to_record({"type": "duologue.connecting"}, epoch=1)

    assert reaction(reduce(state, connecting), STARTED, epoch=1) == ()


@pytest.mark.parametrize("dir", ["out", "local"])
def test_only_what_the_service_says(dir: Any) -> None:
    """What was sent is no reason to send."""
    state, _ = spoken(420)

    assert reaction(state, STARTED, dir=dir) == ()


def test_not_twice_for_a_duplicate() -> None:
    """It was reacted to."""
    state, _ = spoken(420)

    assert reaction(reduce(state, to_record(STARTED)), STARTED) == ()


def test_other_events() -> None:
    """Most call for nothing; so does one of a session that is gone or has no reply."""
    state, _ = spoken(420)

    assert reaction(state, {"type": "error", "error": {}}) == ()
    assert reaction(state, {"type": "duologue.forgotten"}) == ()
    assert reaction(State(), STARTED) == ()


def test_a_deleted_item_is_left_alone() -> None:
    """Nothing of it can be truncated."""
    state, item_id = spoken(420)
    deleted = {"type": "conversation.item.deleted", "item_id": item_id}

    assert reaction(reduce(state, to_record(deleted)), STARTED) == ()


# Calls and their outputs.


def call(service: Service, response: str, call_id: str, status: str) -> Frame:
    """A function call, up to the end of its item."""
    item: Frame = {"id": f"i_{call_id}", "type": "function_call", "name": "f"}
    item |= {"call_id": call_id, "arguments": "{}", "status": status}
    at = {"response_id": response, "output_index": 0}
    service.send("response.output_item.added", **at, item={**item, "arguments": ""})
    service.send("conversation.item.added", item=item, previous_item_id=None)
    service.send("response.output_item.done", **at, item=item)
    return item


def calling(
    *call_ids: str, live: Live, service: Service, status: str = "completed"
) -> None:
    """A whole response that calls functions."""
    response = service.begin()
    items = [call(service, response, call_id, status) for call_id in call_ids]
    service.end(response, items, status)
    assert live.play(service) == ()


def output(live: Live, call_id: str, *, sent: bool = True) -> tuple[str, ...]:
    """What a function gave, sent and echoed; what follows."""
    item: Frame = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    item["id"] = f"o_{call_id}"
    if sent:
        frame: Frame = {"type": "conversation.item.create", "item": item}
        assert live.note({**frame, "event_id": f"e_{call_id}"}, "out") == ()
    echo: Frame = {"item": item, "previous_item_id": None}
    names = live.note({"type": "conversation.item.added", **echo})
    return names + live.note({"type": "conversation.item.done", **echo})


def test_the_output_of_a_call_is_answered() -> None:
    """When the service has it, once."""
    live, service = begun()
    calling("a", live=live, service=service)

    assert output(live, "a") == CREATE
    service.reply("done")
    assert live.play(service) == ()


def test_parallel_calls_get_one_answer() -> None:
    """When the last of them has its output, in whatever order they end."""
    live, service = begun()
    calling("a", "b", "c", live=live, service=service)

    assert [output(live, name) for name in ("c", "a", "b")] == [(), (), CREATE]


def test_outputs_before_the_end_of_their_response() -> None:
    """A quick function: the answer waits for ``response.done``."""
    live, service = begun()
    response = service.begin()
    item = call(service, response, "a", "completed")
    assert live.play(service) == ()
    assert output(live, "a") == ()
    service.end(response, [item])

    assert live.play(service) == CREATE


def test_an_interrupted_call_is_waited_for_by_nobody() -> None:
    """The whole ones of its response suffice; a response that was cut off has none."""
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


def test_calls_out_of_band_are_the_applications_own() -> None:
    """Their outputs belong to no conversation."""
    live, service = begun()
    response = service.begin(in_band=False)
    item = call(service, response, "a", "completed")
    service.end(response, [item], in_band=False)
    live.play(service)

    assert output(live, "a") == ()


def test_who_only_watches_answers_nothing() -> None:
    """Outputs that somebody else sent are somebody else's to go on from."""
    live, service = begun()
    calling("a", live=live, service=service)

    assert output(live, "a", sent=False) == ()


def test_an_output_of_nobodys_call() -> None:
    """There is nothing to answer."""
    live, _ = begun()

    assert output(live, "a") == ()


def test_an_application_that_asks_by_itself() -> None:
    """It has asked when the output is confirmed: not twice."""
    live, service = begun()
    calling("a", live=live, service=service)
    live.note({"type": "response.create"}, "out")

    assert output(live, "a") == ()
    service.reply("done")
    assert live.play(service) == ()


def test_an_answer_that_the_user_gets_anyway() -> None:
    """They speak while the function runs: the service answers all by itself."""
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
    """A response that began before the output came leaves it unanswered."""
    live, service = begun()
    calling("a", live=live, service=service)
    response = service.begin()
    live.play(service)
    assert output(live, "a") == ()
    service.end(response, [])

    assert live.play(service) == CREATE


def test_no_times_no_second_answer() -> None:
    """Where it is not known what a response saw, it saw it."""
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
def test_a_user_whom_nobody_answers_by_itself(detection: Any) -> None:
    """Push-to-talk: what they say makes nobody wait."""
    if detection:
        detection = {"type": "server_vad", **detection}
    live, service = begun(audio={"input": {"turn_detection": detection}})
    calling("a", live=live, service=service)
    service.start_speech()
    live.play(service)

    assert output(live, "a") == CREATE


def test_an_error_is_no_reason_to_ask_again() -> None:
    """One that refuses the answer would come again and again."""
    live, service = begun()
    calling("a", live=live, service=service)
    output(live, "a")
    sent = live.commands[-1]
    assert isinstance(sent, Send)
    service.send("error", error={"event_id": sent.event.event_id, "code": "busy"})

    assert live.play(service) == ()
    assert not live.state.sessions["s"].responses.asked
    service.typed("hello")
    assert live.play(service) == ()


# Wishes.


def test_a_wish_is_sent_at_once_where_nobody_is_busy() -> None:
    """With what was wished for."""
    live, _ = begun()
    event = {"type": "response.create", "response": {"instructions": "be kind"}}
    assert live.note({"type": "duologue.requested", "event": event}) == CREATE
    (command,) = live.commands

    assert (
        Send(
            "s",
            msgspec.structs.replace(
                commands.create_response(instructions="be kind"), event_id="s.2.0"
            ),
        )
        == command
    )


def test_a_wish_waits_for_the_end_of_a_response() -> None:
    """Typing while the assistant speaks: one answer, after it."""
    live, service = begun()
    response = service.begin()
    live.play(service)
    service.typed("wait")
    live.play(service)
    assert (live.note(WISH), live.note(WISH)) == ((), ())
    service.end(response, [])

    assert live.play(service) == CREATE
    service.reply("yes?")
    assert live.play(service) == ()


def test_a_wish_waits_for_an_answer_to_the_last() -> None:
    """Until it came, as a response or as an error."""
    live, service = begun()
    assert live.note(WISH) == CREATE
    assert live.note(WISH) == ()
    service.send("error", error={"code": "conversation_already_has_active_response"})

    assert live.play(service) == CREATE


def test_a_wish_waits_for_the_user() -> None:
    """And is not forgotten where what they said is thrown away."""
    live, service = begun()
    service.start_speech()
    live.play(service)
    assert live.note(WISH) == ()
    service.send("input_audio_buffer.cleared")

    assert live.play(service) == CREATE


def test_nobody_waits_for_ever() -> None:
    """A turn that the service does not answer, although it should."""
    live, service = begun()
    user = service.start_speech()
    service.end_speech(user)
    live.play(service)
    assert live.note(WISH) == ()
    assert live.note({"type": "duologue.tick"}) == ()
    live.at += PATIENCE

    assert live.note({"type": "duologue.tick"}) == CREATE


def test_a_response_that_ends_before_it_began() -> None:
    """It was the answer to what was said."""
    live, service = begun()
    user = service.start_speech()
    service.end_speech(user)
    live.play(service)
    live.note(WISH)
    service.end("r", [], "cancelled")

    assert live.play(service) == CREATE


def test_a_wish_that_is_not_to_be_read() -> None:
    """It is a wish for an answer nevertheless."""
    live, _ = begun()
    event = {"type": "response.create", "response": {"metadata": 5}}
    assert live.note({"type": "duologue.requested", "event": event}) == CREATE

    assert live.commands == [Send("s", ev.ResponseCreate(event_id="s.2.0"))]


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({"type": "response.cancel"}, ("response.cancel",)),
        ({"type": "response.create", "response": {"conversation": "none"}}, CREATE),
        ({"type": "session.update", "session": {"type": "realtime"}}, None),
        ({"type": "session.created", "session": {"type": "realtime"}}, ()),
        ({"type": "new"}, ()),
        ({}, ()),
    ],
)
def test_other_wishes_wait_for_nothing(event: Frame, sent: Any) -> None:
    """Out of band neither; what is not a client's to say is not sent."""
    live, service = begun()
    service.begin()
    live.play(service)
    wish: Frame = {"type": "duologue.requested", "event": event}

    assert ((event.get("type"),) if sent is None else sent) == live.note(wish)
    assert Live().note(wish) == ()


def test_a_wish_before_there_is_a_connection() -> None:
    """It is the first thing that is sent; the configuration goes with connecting."""
    live, service = Live(), Service()
    config: Frame = {"type": "session.update", "session": {"type": "realtime"}}
    facts: list[Frame] = [
        {"type": "duologue.connecting"},
        {"type": "duologue.requested", "event": config},
        WISH,
        {"type": "duologue.connected"},
    ]
    assert [live.note(fact) for fact in facts] == [()] * 4
    service.created()

    assert live.play(service) == CREATE
    service.created()
    assert live.play(service) == ()


# A new connection.


def test_a_new_connection_is_told_what_was() -> None:
    """What is still wanted is asked for behind it; see `test_reseeding`."""
    live, service = begun()
    service.typed("hello")
    service.begin()
    live.play(service)
    live.note(WISH)
    live.note({"type": "duologue.disconnected"})
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    live.note({"type": "duologue.connected"})
    service.created()
    greeting = service.frames[-1]

    assert ("conversation.item.create", *CREATE) == live.play(service)
    assert live.note({**greeting, "event_id": "again"}) == ()


def test_the_same_session_again_knows_all() -> None:
    """A new connection to what goes on at the service."""
    live, service = begun()
    service.typed("hello")
    live.play(service)
    name = live.state.sessions["s"].connection.server_id
    live.epoch = 1
    created: Frame = {"type": "session.created", "session": {"type": "realtime"}}
    created["session"]["id"] = name

    assert live.note(created) == ()


def test_what_an_older_connection_says_late() -> None:
    """Is none of the new one's."""
    live, service = begun()
    service.typed("hello")
    live.play(service)
    live.epoch = 2
    live.note({"type": "duologue.connecting"})
    live.epoch = 1
    service.created()

    assert live.play(service) == ()


def test_a_translation_is_told_its_configuration() -> None:
    """It has no items."""
    live = Live()
    wish = {"type": "session.update", "session": {"audio": {"output": {}}}}
    live.note({"type": "duologue.requested", "event": wish})
    live.epoch = 1
    created: Frame = {"type": "session.created", "session": {"type": "translation"}}

    assert live.note(created) == ("session.update",)


# Hand-over.

EXPIRES = 5000.0
SOON, NOW = "the connection expires soon", "the connection is about to expire"


def expiring() -> tuple[Live, Service]:
    live, service = begun(expires_at=EXPIRES)
    return live, service


def tick(live: Live, at: float) -> tuple[str, ...]:
    live.at = at - 0.1
    return live.note({"type": "duologue.tick"})


def test_a_quiet_session_goes_over_in_time() -> None:
    """Once; as a command that no wire carries."""
    live, _ = expiring()
    early = EXPIRES - HAND_OVER_EARLY
    told = [tick(live, at) for at in (early - 1, early + 1, early + 2)]

    assert told == [(), (SOON,), ()]
    assert live.commands == [Reconnect("s", SOON)]


def test_it_waits_for_the_end_of_a_turn() -> None:
    """But not for ever."""
    live, service = expiring()
    response = service.begin()
    live.play(service)
    assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()
    service.end(response, [])
    assert live.play(service) == (SOON,)

    live, service = expiring()
    service.begin()
    live.play(service)
    times = (EXPIRES - HAND_OVER_DEADLINE - 1, EXPIRES - HAND_OVER_DEADLINE + 1)
    assert [tick(live, at) for at in (*times, EXPIRES - 1)] == [(), (NOW,), ()]


def test_a_turn_may_begin_while_it_is_carried_out() -> None:
    """Then it is not the time any more, but at the last moment it is."""
    live, service = expiring()
    tick(live, EXPIRES - HAND_OVER_EARLY + 1)
    may = [may_hand_over(live.state.sessions["s"])]
    response = service.begin()
    live.play(service)
    may.append(may_hand_over(live.state.sessions["s"]))
    service.end(response, [])
    live.play(service)
    may.append(may_hand_over(live.state.sessions["s"]))
    service.begin()
    live.play(service)
    for at in (EXPIRES - HAND_OVER_DEADLINE - 1, EXPIRES - HAND_OVER_DEADLINE):
        tick(live, at)
        may.append(may_hand_over(live.state.sessions["s"]))

    assert may == [True, False, True, False, True]


def test_a_call_that_is_to_be_run_is_waited_for() -> None:
    """Its output would have no call on the new connection."""
    live, service = expiring()
    calling("a", live=live, service=service)

    assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()


@pytest.mark.parametrize(("ms", "told"), [(990, ()), (1000, (SOON,)), (None, (SOON,))])
def test_what_is_heard_is_waited_for(ms: int | None, told: Any) -> None:
    """Where we play it ourselves."""
    live, service = expiring()
    item_id = service.reply(*["a"] * 100)
    live.play(service)
    played: Frame = {"type": "duologue.played", "item_id": item_id, "ms": 5}
    if ms is not None:
        live.note(played)
        assert tick(live, EXPIRES - HAND_OVER_EARLY + 1) == ()
        assert told == live.note({**played, "ms": ms})
    else:
        assert told == tick(live, EXPIRES - HAND_OVER_EARLY + 1)


def test_what_is_carried_out_is_not_asked_for() -> None:
    """While it connects, and where nobody knows the end or the time."""
    live, service = expiring()
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    assert tick(live, EXPIRES - 1) == ()

    live, service = begun()
    assert tick(live, EXPIRES - 1) == ()
    live, service = expiring()
    service.reply("a")
    assert live.play(service) == ()
    live, service = expiring()
    live.note({"type": "duologue.disconnected", "reason": "gone"})
    assert tick(live, EXPIRES - 1) == ()


@given(hostile())
def test_no_stream_makes_it_raise(stream: Stream) -> None:
    """And every command can be sent."""
    state = State()
    for record in stream:
        before, state = state, reduce(state, record)
        for command in react(before, record, state):
            assert isinstance(command, Reconnect) or encode(command.event)


def test_a_connection_without_an_end_is_never_at_its_last_moment() -> None:
    """Where nobody said when it ends, only the turns decide."""
    service = Service()
    quiet = fold_frames(*service.frames, {"type": "session.created", "session": {}})
    service.begin()
    busy = fold_frames(*service.frames)

    assert (may_hand_over(quiet), may_hand_over(busy)) == (True, False)
