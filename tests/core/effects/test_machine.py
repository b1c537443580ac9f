"""The machine: a session without I/O, carried by a driver that decides nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    Command,
    Connect,
    Disconnect,
    FlushAudio,
    Machine,
    Record,
    RunTool,
    Send,
    Session,
    State,
    Store,
    SwitchTo,
    Transcript,
    WakeAt,
    commands,
    dump,
    fold,
    load,
    react,
    reduce,
    select_is_settled,
    select_reconnections,
    select_transcripts,
    view,
)
from duologue.core import events as ev
from duologue.core.effects.backoff import Backoff, connect_policy
from duologue.core.effects.lifecycle import GREETING, latest_time, may_send
from duologue.core.events.base import ClientEvent
from duologue.core.state.model import Reconnection
from duologue.core.testing import Stream
from duologue.core.views.notices import notices

from ..strategies import enough, legal

POLICY = connect_policy(Backoff(), 15.0)
LOST: dict[str, Any] = {"lost": True, "can_repeat": True}


class Driven:
    """A machine whose commands are carried out at once, on a service of the test."""

    def __init__(self, machine: Machine | None = None, at: float = 1000.0) -> None:
        self.machine = machine or Machine("s")
        self.at = at
        #: The sent events, with their epoch.
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.done: list[Command] = []
        self.wakes: float | None = None

    @property
    def types(self) -> list[str]:
        return [event["type"] for _, event in self.sent]

    @property
    def texts(self) -> list[str]:
        items = [e["item"] for _, e in self.sent if "item" in e]
        return [item["content"][0]["text"] for item in items]

    def carry_out(self) -> list[Command]:
        found: list[Command] = []
        for command in self.machine.commands():
            found.append(command)
            if isinstance(command, Send):
                frame = self.machine.send(command.event, self.at)
                epoch = self.machine.session.connection.epoch
                self.sent.append((epoch, json.loads(frame)))
            elif isinstance(command, WakeAt):
                self.wakes = command.at
            elif isinstance(command, Connect | Disconnect | SwitchTo):
                self.machine.record(command.fact, self.at, epoch=command.epoch)
        self.done += found
        return [each for each in found if not isinstance(each, WakeAt | Send)]

    def note(self, fact: ev.LocalEvent, epoch: int | None = None) -> list[Command]:
        self.at += 0.1
        self.machine.record(fact, self.at, epoch=epoch)
        return self.carry_out()

    def receive(self, epoch: int, type: str, **fields: Any) -> list[Command]:
        self.at += 0.1
        frame = json.dumps({"type": type, **fields})
        self.machine.receive(frame, self.at, epoch=epoch)
        return self.carry_out()

    def greet(self, epoch: int, **fields: Any) -> list[Command]:
        session = {"type": "realtime", "id": f"sess_{epoch}", **fields}
        return self.receive(epoch, "session.created", session=session)

    def request(self, event: Any) -> list[Command]:
        self.machine.request(event, self.at)
        return self.carry_out()

    def connect(self) -> Connect:
        self.machine.connect(POLICY)
        (command,) = self.carry_out()
        assert isinstance(command, Connect)
        return command

    def open(self) -> None:
        """The first connection, with its greeting."""
        command = self.connect()
        self.note(command.connected, command.epoch)
        self.greet(command.epoch)

    def lose(self) -> Connect:
        """The connection is lost; the next attempt begins."""
        epoch = self.machine.session.connection.epoch
        (command,) = self.note(ev.Disconnected(code=1006, **LOST), epoch)
        assert isinstance(command, Connect)
        return command


def say(text: str) -> ev.ConversationItemCreate:
    return commands.send_text(text)


def test_what_is_requested_before_the_connection_is_sent_on_it() -> None:
    """In order; the response is requested last, once."""
    driven = Driven()
    driven.request(commands.update_session({"output_modalities": ["text"]}))
    driven.request(say("one"))
    driven.request(commands.create_response())
    driven.request(say("two"))
    first = driven.connect()
    assert (first.epoch, first.attempt, first.policy) == (0, 1, POLICY)
    assert driven.sent == []
    driven.note(first.connected, 0)
    driven.greet(0)
    create = "conversation.item.create"
    assert driven.types == ["session.update", create, create, "response.create"]
    assert driven.texts == ["one", "two"]
    assert {epoch for epoch, _ in driven.sent} == {0}


def test_the_log_explains_the_first_configuration() -> None:
    """`react` over the log gives each event that was sent, also the first update."""
    driven = Driven()
    log: list[Record] = []
    driven.machine.store.subscribe(lambda before, record, after: log.append(record))
    for modality in ("text", "audio"):
        driven.request(commands.update_session({"output_modalities": [modality]}))
    driven.request(say("one"))
    assert driven.machine.waiting == 2
    driven.open()
    assert driven.types == ["session.update"] * 2 + ["conversation.item.create"]
    assert driven.machine.waiting == 0

    state, found = State(), list[Command]()
    for record in log:
        before, state = state, reduce(state, record)
        found += react(before, record, state)
    ids = [each.event.event_id for each in found if isinstance(each, Send)]
    sent = [record.event for record in log if record.dir == "out"]
    assert set(ids) == {
        event.event_id for event in sent if isinstance(event, ClientEvent)
    }
    assert len(ids) == len(sent) == 3


def test_a_request_waits_for_the_greeting_of_a_later_connection() -> None:
    """After what restores the conversation, and with one request for a response."""
    driven = Driven()
    driven.open()
    following = driven.lose()
    assert (following.epoch, following.reason) == (1, None)
    driven.request(say("while away"))
    driven.note(following.connected, 1)
    driven.request(say("while it is not greeted"))
    driven.request(commands.create_response())
    assert driven.sent == []
    driven.greet(1)
    assert driven.texts == ["while away", "while it is not greeted"]
    assert driven.types.count("response.create") == 1
    assert driven.types[-1] == "response.create"
    assert {epoch for epoch, _ in driven.sent} == {1}


@pytest.mark.parametrize("turns", ["answered", "not answered"])
def test_an_interruption_before_the_request_is_sent(turns: str) -> None:
    """The command that waits in the machine is dropped; the next request is sent."""
    driven = Driven()
    driven.open()
    if turns == "not answered":
        detection = {"type": "server_vad", "create_response": False}
        audio = {"input": {"turn_detection": detection}}
        session = {"type": "realtime", "id": "sess_0", "audio": audio}
        driven.receive(0, "session.updated", session=session)
        driven.receive(0, "input_audio_buffer.committed", item_id="u")
    driven.machine.request(commands.create_response(), driven.at)
    driven.note(ev.Interrupted())
    assert driven.types == []
    driven.request(commands.create_response())
    driven.receive(0, "response.created", response={"id": "r"})
    assert driven.types == ["response.create"]


def test_an_interruption_before_the_greeting() -> None:
    """No request is in flight, so a spoken turn and the next text are answered."""
    driven = Driven()
    driven.open()
    driven.request(commands.create_response())
    following = driven.lose()
    driven.note(following.connected, 1)
    driven.note(ev.Interrupted())
    driven.greet(1)
    assert driven.types == ["response.create"]
    driven.receive(1, "response.created", response={"id": "spoken"})
    driven.receive(1, "response.done", response={"id": "spoken"})
    driven.request(commands.create_response())
    assert driven.types == ["response.create"] * 2


def test_a_request_is_sent_again_to_the_same_session_of_the_service() -> None:
    """A sideband rejoins its call: the service lacks the request only."""
    driven = Driven()
    driven.open()
    driven.request(ev.ResponseCreate())
    following = driven.lose()
    driven.note(following.connected, following.epoch)
    driven.greet(following.epoch, id="sess_0")

    assert driven.types == ["response.create"] * 2


def test_a_service_that_never_greets_gets_the_requests_after_two_seconds() -> None:
    driven = Driven()
    driven.open()
    following = driven.lose()
    driven.note(following.connected, 1)
    driven.request(say("hello"))
    driven.request(commands.create_response())
    assert driven.sent == []
    assert driven.wakes is not None
    driven.at = driven.wakes
    driven.note(ev.Tick())
    assert driven.types == ["conversation.item.create", "response.create"]


def test_a_rule_s_event_is_dropped_with_its_connection() -> None:
    """The rules give it again for the next one; a request of the application stays."""
    driven = Driven()
    driven.open()
    driven.request(say("hello"))
    assert len(driven.sent) == 1
    driven.machine.request(commands.create_response(), driven.at)
    driven.machine.request(say("again"), driven.at)
    # Not carried out: the connection is lost first.
    following = driven.lose()
    driven.note(following.connected, 1)
    driven.greet(1)
    assert driven.texts == ["hello", "hello", "again"]
    assert driven.types.count("response.create") == 1
    assert driven.types[-1] == "response.create"


def test_a_hand_over_is_carried_out_by_facts() -> None:
    driven = Driven()
    first = driven.connect()
    driven.note(first.connected, 0)
    driven.greet(0, expires_at=driven.at + 3600)
    assert driven.wakes is not None
    driven.at = driven.wakes
    (successor,) = driven.note(ev.Tick())
    assert isinstance(successor, Connect)
    assert (successor.epoch, successor.successor) == (1, True)
    assert successor.fact.reason == "the connection expires soon"
    ends = driven.note(successor.connected, 1)
    assert ends == [SwitchTo("s", 1), Disconnect("s", 0, "it has a successor")]
    assert driven.machine.session.connection.epoch == 1
    assert not driven.machine.is_over


@pytest.mark.parametrize("way", ["open", "connecting", "waiting", "dialling"])
def test_closing_ends_whatever_there_is(way: str) -> None:
    driven = Driven()
    if way == "connecting":
        driven.connect()
    else:
        driven.open()
    if way == "dialling":
        driven.lose()
    if way == "waiting":
        failed = driven.lose().failed("no", can_repeat=True, chance=1.0)
        assert driven.note(failed, 1) == []
    assert len(driven.note(ev.Closing())) == 1
    assert driven.machine.is_over
    assert driven.machine.session.connection.status == "closed"
    assert select_is_settled(driven.machine.session)
    # Whatever follows, no command does.
    assert driven.request(say("too late")) == []
    assert driven.note(ev.Tick()) == []
    assert driven.note(ev.Closed()) == []


def test_a_session_of_the_store_goes_on() -> None:
    """With its next connection, and with what was said before."""
    before = Driven()
    before.open()
    before.request(say("hello"))
    item = before.sent[0][1]["item"]
    before.receive(0, "conversation.item.added", item=item, previous_item_id=None)
    before.receive(0, "conversation.item.done", item=item, previous_item_id=None)
    before.note(ev.Closing())
    store = Store(before.machine.store.state)

    after = Driven(Machine("s", store=store), at=before.at)
    after.request(say("are you there?"))
    first = after.connect()
    assert (first.epoch, first.attempt) == (1, 1)
    after.note(first.connected, 1)
    after.greet(1)
    assert after.texts == ["hello", "are you there?"]


@enough
@given(legal(3), st.integers(0, 1_000_000), st.floats(-10_000.0, 10_000.0))
def test_a_snapshot_goes_on_whatever_the_clock_says(
    stream: Stream, cut: int, skew: float
) -> None:
    """Later records have later times; every wait has its length by the driver's clock.

    The clock may be that of another computer.
    """
    state = fold(list(stream)[: cut % len(stream) + 1])
    latest = latest_time(state.sessions["s"])
    driven = Driven(Machine("s", store=Store(state)), at=max(0.0, latest + skew))
    times: list[float] = []
    driven.machine.store.subscribe(
        lambda before, record, after: times.append(record.at or 0.0)
    )
    first = driven.connect()
    driven.note(first.connected, first.epoch)
    assert times[0] >= latest
    assert times[0] - driven.at <= max(0.0, -skew) + 1.0
    greeted = driven.at + GREETING
    while not may_send(driven.machine.session):
        assert driven.types == []
        assert driven.wakes is not None
        assert driven.wakes < greeted + 0.001
        driven.at = max(driven.at, driven.wakes - 0.1)
        driven.note(ev.Tick())
    driven.at += 60.0
    (retry,) = driven.note(ev.Disconnected(**LOST), first.epoch)
    assert isinstance(retry, Connect)
    driven.note(retry.failed("busy", can_repeat=True, chance=1.0), retry.epoch)
    assert driven.wakes == pytest.approx(driven.at + POLICY.first)
    assert times == sorted(times)


def acknowledge(driven: Driven, epoch: int) -> None:
    """The service accepts every item that was sent, in the order that was asked for."""
    order: list[str] = []
    for _, event in driven.sent:
        if event["type"] != "conversation.item.create":
            continue
        item, previous = event["item"], event.get("previous_item_id")
        if previous == "root":
            order.insert(0, item["id"])
        elif previous in order:
            order.insert(order.index(previous) + 1, item["id"])
        else:
            order.append(item["id"])
        place = order.index(item["id"])
        echo = {"item": item, "previous_item_id": order[place - 1] if place else None}
        driven.receive(epoch, "conversation.item.added", **echo)
        driven.receive(epoch, "conversation.item.done", **echo)


def test_audio_is_discarded_while_nothing_can_be_sent() -> None:
    """The player may still have the audio of the connection that was lost."""
    driven = Driven()
    driven.open()
    driven.lose()
    driven.note(ev.Interrupted())
    assert driven.done[-1] == FlushAudio("s")


@enough
@given(legal(3), st.integers(0, 1_000_000))
def test_a_snapshot_of_any_moment_goes_on(stream: Stream, cut: int) -> None:
    """The lines and their order are those of a session that never stopped."""
    state = fold(list(stream)[: cut % len(stream) + 1])
    before = state.sessions["s"]
    again = Store(load(dump(state)))
    driven = Driven(Machine("s", store=again), at=1e9)
    first = driven.connect()
    driven.note(first.connected, first.epoch)
    driven.greet(first.epoch)
    acknowledge(driven, first.epoch)

    after = driven.machine.session
    assert after.connection.epoch == before.connection.epoch + 1
    assert [(line.item_id, line.role, line.text) for line in lines(after)] == [
        (line.item_id, line.role, line.text) for line in lines(before)
    ]
    assert all(line.final for line in lines(after))


def lines(session: Session) -> list[Transcript]:
    return [line for line in select_transcripts(session) if line.text]


def test_the_facts_of_a_command_have_its_values() -> None:
    command = Connect("s", "why", 3, 2, successor=True, new_key=True)
    assert command.fact == ev.Connecting(
        attempt=2, successor=True, new_key=True, reason="why"
    )
    assert command.connected == ev.Connected(attempt=2, successor=True)
    failed = command.failed("no", status=503, retry_after=1.5, can_repeat=True)
    assert failed == ev.ConnectFailed(
        attempt=2,
        successor=True,
        reason="no",
        status=503,
        retry_after=1.5,
        can_repeat=True,
    )
    assert Disconnect("s", 3, "why").fact == ev.Disconnected(
        reason="why", expected=True
    )
    assert SwitchTo("s", 3).fact == ev.Switched()


@pytest.mark.parametrize(
    "event", [{"type": "session.created"}, {"no": "type"}, {"type": "duologue.tick"}]
)
def test_only_client_events_can_be_requested(event: dict[str, Any]) -> None:
    machine = Machine("s")
    with pytest.raises(ValueError, match=r"not (a client|an) event"):
        machine.request(event, 1.0)
    assert list(machine.commands()) == []


# Commands that wait while other facts are recorded.


def test_closing_before_the_first_attempt() -> None:
    """No attempt begins; the session is closed."""
    driven = Driven()
    driven.machine.connect(POLICY)
    (command,) = driven.note(ev.Closing())
    assert isinstance(command, Disconnect)
    assert driven.machine.session.connection.status == "closed"


@pytest.mark.parametrize("carried_out", [True, False])
def test_closing_before_connect(carried_out: bool) -> None:
    """There is no attempt; the session is closed."""
    driven = Driven()
    driven.machine.record(ev.Closing(), driven.at)
    if carried_out:
        driven.carry_out()
    driven.machine.connect(POLICY)
    driven.carry_out()
    closing = [each for each in driven.done if not isinstance(each, WakeAt)]
    assert [type(each) for each in closing] == [Disconnect]
    assert driven.machine.session.connection.status == "closed"


@pytest.mark.parametrize("ends", [True, False])
def test_closing_before_a_session_goes_on(ends: bool) -> None:
    """It stays closed; one whose process was interrupted is closed too."""
    driven = Driven()
    driven.open()
    if ends:
        driven.note(ev.Closing())
    again = Driven(Machine("s", store=driven.machine.store), driven.at)
    again.machine.connect(POLICY)
    found = again.note(ev.Closing())
    assert [type(each) for each in found] == ([] if ends else [Disconnect])
    assert again.machine.session.connection.status == "closed"
    assert again.machine.session.connection.epoch == 0


def test_closing_before_an_attempt_that_is_due() -> None:
    """The attempt is not made any more; the session is closed."""
    driven = Driven()
    driven.open()
    driven.machine.record(ev.Disconnected(code=1006, **LOST), driven.at, epoch=0)
    (command,) = driven.note(ev.Closing())
    assert isinstance(command, Disconnect)
    assert driven.machine.session.connection.status == "closed"


def test_closing_while_the_first_attempt_is_begun() -> None:
    """The driver has taken the command: its attempt is ended."""
    driven = Driven()
    driven.machine.connect(POLICY)
    (attempt,) = driven.machine.commands()
    assert isinstance(attempt, Connect)
    driven.machine.record(ev.Closing(), driven.at)
    driven.machine.record(attempt.fact, driven.at, epoch=attempt.epoch)
    (command,) = driven.note(ev.Muted(muted=True))
    assert isinstance(command, Disconnect)
    assert driven.machine.session.connection.status == "closed"


def handing_over() -> Driven:
    """A hand-over is due, and not begun."""
    driven = Driven()
    driven.open()
    driven.greet(0, expires_at=int(driven.at) + 1000)
    assert driven.wakes is not None
    driven.at = driven.wakes
    driven.machine.record(ev.Tick(), driven.at)
    return driven


def test_a_turn_that_begins_before_the_hand_over() -> None:
    """The hand-over waits for its end, and begins once."""
    driven = handing_over()
    speech = {"item_id": "i", "audio_start_ms": 0}
    assert driven.receive(0, "input_audio_buffer.speech_started", **speech) == []
    (command,) = driven.receive(0, "input_audio_buffer.cleared")
    assert isinstance(command, Connect)
    assert (command.epoch, command.attempt) == (1, 1)


def test_a_replaced_connection_is_closed_although_its_successor_is_lost() -> None:
    """`Disconnect` of an earlier epoch stays due."""
    driven = handing_over()
    (connect,) = driven.carry_out()
    assert isinstance(connect, Connect)
    machine = driven.machine
    machine.record(connect.connected, driven.at, epoch=1)
    (switch,) = machine.commands()
    assert isinstance(switch, SwitchTo)
    machine.record(switch.fact, driven.at, epoch=1)
    driven.at += POLICY.steady
    machine.record(ev.Disconnected(code=1006, **LOST), driven.at, epoch=1)
    first, second = driven.carry_out()
    assert isinstance(first, Disconnect)
    assert isinstance(second, Connect)
    assert (first.epoch, second.epoch) == (0, 2)


def test_events_are_held_until_the_service_has_sent_its_configuration() -> None:
    """Other commands are not held back by them."""
    driven = Driven()
    driven.open()
    command = driven.lose()
    driven.note(command.connected, 1)
    assert driven.request({"type": "response.cancel"}) == []
    driven.machine.record(ev.Requested(event={"type": "response.cancel"}), driven.at)
    assert driven.note(ev.Closing()) != []
    assert driven.types == []


def test_a_subscriber_that_records() -> None:
    """Each command is given once: first those of the record that it was told of."""
    driven = Driven()
    driven.open()
    response = {"id": "r", "conversation_id": "c"}
    driven.receive(0, "response.created", response=response)
    machine, told = driven.machine, []

    def answer(before: State, record: Record, after: State) -> None:
        told.append(record.event.type)
        if record.event.type == "response.done":
            machine.request(commands.create_response(), driven.at)
            machine.record(ev.Muted(muted=True), driven.at)

    machine.store.subscribe(answer)
    done = {**response, "status": "completed", "output": []}
    driven.receive(0, "response.done", response=done)
    assert driven.types == ["response.create"]
    facts = ["duologue.requested", "duologue.muted"]
    assert told == ["response.done", *facts, "response.create"]


# Why a session reconnected.


def reconnections(driven: Driven) -> list[tuple[int, int, str | None, bool]]:
    found = select_reconnections(driven.machine.session)
    return [(one.epoch, one.attempt, one.reason, one.hand_over) for one in found]


def expiring() -> tuple[Driven, Connect]:
    """A connection that expires soon, and the command to connect its successor."""
    driven = Driven()
    driven.note(driven.connect().connected, 0)
    driven.greet(0, expires_at=driven.at + 3600)
    assert driven.wakes is not None
    driven.at = driven.wakes
    return driven, attempt(driven.note(ev.Tick()))


def attempt(commands: list[Command]) -> Connect:
    (command,) = commands
    assert isinstance(command, Connect)
    return command


def lose(driven: Driven, reason: str) -> list[Command]:
    fact = ev.Disconnected(code=1006, reason=reason, **LOST)
    return driven.note(fact, driven.machine.session.connection.epoch)


def test_a_reconnect_has_the_reason_of_the_loss_and_its_attempts() -> None:
    """Not the reason of a failed attempt, which is in the log."""
    driven = Driven()
    driven.open()
    assert reconnections(driven) == []
    command = attempt(lose(driven, "the cable was cut"))
    for _ in range(2):
        driven.note(command.failed("busy", status=503, can_repeat=True), 1)
        assert driven.wakes is not None
        driven.at = driven.wakes
        command = attempt(driven.note(ev.Tick()))
    assert reconnections(driven) == []
    driven.note(command.connected, 1)
    assert reconnections(driven) == [(1, 3, "the cable was cut", False)]
    assert select_reconnections(driven.machine.session)[0].at == driven.at

    driven.at += 60
    again = attempt(lose(driven, "another cable"))
    driven.note(again.connected, 2)
    assert reconnections(driven)[1:] == [(2, 1, "another cable", False)]


def test_a_hand_over_has_its_reason() -> None:
    """Also after a failed attempt; it takes place at the switch."""
    driven, successor = expiring()
    driven.note(successor.failed("busy", status=503, can_repeat=True), 1)
    assert driven.wakes is not None
    driven.at = driven.wakes
    successor = attempt(driven.note(ev.Tick()))
    assert reconnections(driven) == []
    driven.note(successor.connected, 1)
    expected = (1, 2, "the connection expires soon", True)
    assert reconnections(driven) == [expected]


def test_a_connection_that_is_lost_while_its_successor_connects() -> None:
    """The successor is used because of the loss: this is no hand-over."""
    driven, successor = expiring()
    assert lose(driven, "the cable was cut") == []
    driven.note(successor.connected, 1)
    assert reconnections(driven) == [(1, 1, "the cable was cut", False)]


def test_neither_the_first_connection_nor_a_continued_session_reconnects() -> None:
    driven = Driven()
    driven.open()
    driven.note(ev.Closing())
    again = Driven(Machine("s", store=driven.machine.store), at=driven.at)
    first = again.connect()
    again.note(first.connected, first.epoch)
    assert again.machine.session.connection.epoch == 1
    assert reconnections(again) == []


def test_the_reconnections_are_seen_and_kept() -> None:
    """A notice and the view have each; a snapshot keeps the last hundred."""
    driven = Driven()
    driven.open()
    seen: list[Reconnection] = []
    driven.machine.store.subscribe(
        lambda before, record, after: seen.extend(
            notice.args[0]
            for notice in notices(before.sessions.get("s"), record, after.sessions["s"])
            if notice.name == "reconnected"
        )
    )
    for number in range(1, 103):
        command = attempt(lose(driven, f"loss {number}"))
        driven.at += 60
        driven.note(command.connected, number)
        driven.at += 60
    session = driven.machine.session
    assert [one.epoch for one in seen] == list(range(1, 103))
    assert select_reconnections(session) == tuple(seen[-100:])
    shown = view(session)["reconnections"]
    assert [one["reason"] for one in shown] == [f"loss {n}" for n in range(3, 103)]
    loaded = load(dump(driven.machine.store.state)).sessions["s"]
    assert select_reconnections(loaded) == select_reconnections(session)


def test_an_event_whose_connection_ended_before_it_was_sent() -> None:
    """It is put back to be sent first, unless the state keeps it for the next one."""
    driven = Driven()
    driven.open()
    machine = driven.machine
    for event in ({"type": "response.cancel"}, {"type": "input_audio_buffer.clear"}):
        machine.request(event, driven.at)
    first = machine.next_send()
    assert first is not None
    machine.put_back(first)
    assert machine.waiting == 2
    assert machine.next_send() == first

    kept = Driven()
    kept.open()
    kept.machine.request(say("hello"), kept.at)
    item = kept.machine.next_send()
    assert item is not None
    kept.machine.put_back(item)
    assert (kept.machine.waiting, kept.machine.next_send()) == (0, None)
    assert len(kept.machine.session.conversation.unconfirmed) == 1


def test_an_output_that_names_its_command() -> None:
    """It gets the ``call_id`` of the call; other items are sent as they are."""
    driven = Driven()
    driven.open()
    made: dict[str, Any] = {"type": "function_call", "call_id": "c", "arguments": "{}"}
    for name in ("i", "j"):
        item = {**made, "id": name, "name": f"f{name}", "status": "completed"}
        driven.receive(0, "response.output_item.done", response_id="r", item=item)
    runs = [each.call_id for each in driven.done if isinstance(each, RunTool)]
    assert runs == ["c", "c/j"]
    for call_id in ("c/j", "c", "x"):
        driven.request(commands.send_tool_output(call_id, "1"))
    driven.request(commands.send_tool_output("", "1"))
    found = [event["item"].get("call_id") for _, event in driven.sent]
    assert found == ["c", "c", "x", ""]
