"""The events that restore a conversation on a new connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from msgspec import structs

from duologue.core import (
    Machine,
    Record,
    Session,
    encode,
    events,
    fold,
    reduce,
    select_transcripts,
)
from duologue.core.effects.commands import (
    Connect,
    Disconnect,
    Send,
    SwitchTo,
    send_text,
)
from duologue.core.effects.reseed import reseed, restore_refused, restored_items
from duologue.core.state.model import (
    ConfigChange,
    Connection,
    Conversation,
    Item,
    Part,
    RestoredItem,
)
from duologue.core.state.rope import Rope
from duologue.core.wire.codec import MAX_DEPTH

from ..strategies import enough
from ..talk import Frame, Service, audio, message, to_record, to_records
from .live import CREATE, REQUEST, Live, begun


def told(*frames: Frame, kind: str = "realtime") -> list[Frame]:
    """The client events for a second connection, after these frames on the first."""
    state = fold(to_records(frames))
    for frame in (
        {"type": "duologue.connecting"},
        {"type": "session.created", "session": {"type": kind, "id": "sess_new"}},
    ):
        state = reduce(state, to_record(frame, epoch=1, at=2000.0))
    return [json.loads(encode(event)) for event in reseed(state.sessions["s"])]


def items(frames: list[Frame]) -> list[Frame]:
    return [frame["item"] for frame in frames]


def test_the_conversation_in_its_order() -> None:
    """Items are sent in order, with their ids and predecessors, and speech as text."""
    service = Service()
    rule = service.typed("be kind", role="system")
    spoken = service.spoken("hello")
    answer = service.reply("good", " day")
    written = service.reply("in writing", spoken=False)
    typed = service.typed("bye")
    created = "conversation.item.create"

    def line(item_id: str, role: str, type: str, text: str) -> Frame:
        content = [{"type": type, "text": text}]
        return {"type": "message", "id": item_id, "role": role, "content": content}

    assert told(*service.frames) == [
        {"type": created, "previous_item_id": previous, "item": item}
        for previous, item in [
            ("root", line(rule, "system", "input_text", "be kind")),
            (rule, line(spoken, "user", "input_text", "hello")),
            (spoken, line(answer, "assistant", "output_text", "good day")),
            (answer, line(written, "assistant", "output_text", "in writing")),
            (written, line(typed, "user", "input_text", "bye")),
        ]
    ]


def test_items_of_the_old_connection_are_sent_to_the_new_one() -> None:
    """Items that arrive on the old connection during the connect are sent too."""
    service = Service()
    first = service.typed("one")
    frames = [(frame, 0) for frame in service.frames]
    frames.append(({"type": "duologue.connecting"}, 1))
    late = message("late", "user", [{"type": "input_text", "text": "two"}])
    kind = "conversation.item.added"
    frames.append(({"type": kind, "item": late, "previous_item_id": first}, 0))
    records = [to_record(f, n, epoch=epoch) for n, (f, epoch) in enumerate(frames)]
    events = reseed(fold(records).sessions["s"])

    assert [json.loads(encode(event))["item"]["id"] for event in events] == [
        first,
        "late",
    ]


def test_what_was_heard_of_an_interrupted_reply() -> None:
    """Only the heard text is sent; a reply that was not heard is left out."""
    service = Service()
    half = service.reply("one", " two", " six", " ten")
    none = service.reply("never heard")
    for item_id, ms in ((half, 20), (none, 0)):
        at: Frame = {"item_id": item_id, "content_index": 0, "audio_end_ms": ms}
        service.send("conversation.item.truncated", **at)

    assert [(half, "one two")] == [
        (item["id"], item["content"][0]["text"])
        for item in items(told(*service.frames))
    ]


def test_a_reply_that_is_cut_off_before_its_words() -> None:
    """If the heard text is unknown, the full text is sent."""
    service = Service()
    cut: Frame = {"item_id": "i", "content_index": 0, "audio_end_ms": 5}
    service.send("conversation.item.truncated", **cut)
    at: Frame = {"response_id": "r", "output_index": 0, "content_index": 0}
    done = "response.output_audio_transcript.done"
    service.send(done, item_id="i", transcript="late", **at)

    assert (items(told(*service.frames))[0]["content"]) == [
        {"type": "output_text", "text": "late"}
    ]


@pytest.mark.parametrize(("ms", "text"), [(None, "one two"), (500, "one"), (-5, None)])
def test_a_reply_during_which_the_connection_was_lost(ms: Any, text: Any) -> None:
    """The text is sent up to the played position, or the time of the loss."""
    service = Service()
    response = service.begin()
    said = service.say(response, ["one", " two", " three"])
    at = {"response_id": response, "output_index": 0, "content_index": 0}
    name = "response.output_audio.delta"
    service.send(name, item_id=said["item_id"], delta=audio(48_000), **at)
    if ms is not None:
        played = {"type": "duologue.played", "item_id": said["item_id"], "ms": ms}
        service.frames.append(played)
    service.frames.append({"type": "duologue.disconnected"})

    assert ([text] if text else []) == [
        item["content"][0]["text"] for item in items(told(*service.frames))
    ]


def test_items_that_are_left_out() -> None:
    """Items that are deleted, empty, out of band or without a role are left out."""
    service = Service()
    deleted = service.typed("no")
    service.send("conversation.item.deleted", item_id=deleted)
    service.start_speech()
    service.begin()
    service.reply("aside", in_band=False)
    nobody = message("nobody", "", [{"type": "input_text", "text": "?"}])
    service.send("conversation.item.added", item=nobody, previous_item_id=None)
    kept = service.typed("yes")

    assert [kept] == [item["id"] for item in items(told(*service.frames))]


def item(call_id: str | None, type: str, id: str, **fields: Any) -> Frame:
    status = fields.pop("status", "completed")
    item = {"id": id, "type": type, "call_id": call_id, "status": status, **fields}
    return {"type": "conversation.item.done", "event_id": f"e_{id}", "item": item}


def called(call_id: str, id: str, status: str = "completed") -> Frame:
    return item(
        call_id, "function_call", id, name="f", arguments='{"a":1}', status=status
    )


def gave(call_id: str | None, id: str, output: str = "1") -> Frame:
    return item(call_id, "function_call_output", id, output=output)


def test_calls_go_with_their_outputs() -> None:
    """A call is sent with its output, even if that is empty."""
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    output = {"type": "function_call_output", "call_id": "c"}

    assert [
        {**call, "id": "a", "arguments": '{"a":1}'},
        {**output, "id": "b", "output": ""},
    ] == items(told(called("c", "a"), gave("c", "b", "")))


@pytest.mark.parametrize(
    "frames",
    [
        [called("c", "a")],
        [called("c", "a"), gave("c", "b"), {"deleted": "b"}],
    ],
)
def test_a_whole_call_without_an_output(frames: list[Frame]) -> None:
    """A call without an output is sent, because its output may follow."""
    gone = "conversation.item.deleted"
    frames = [
        {"type": gone, "item_id": frame["deleted"]} if "deleted" in frame else frame
        for frame in frames
    ]

    assert [one["type"] for one in items(told(*frames))] == ["function_call"]


@pytest.mark.parametrize(
    "frames",
    [
        [gave("c", "b")],
        [gave(None, "b")],
        [called("c", "a", "incomplete"), gave("c", "b")],
        [called("c", "a"), gave("c", "b"), {"deleted": "a"}],
        [item(None, "mcp_list_tools", "m", server_label="l", tools=[])],
        [item(None, "new", "m")],
        [
            called("c", "a", "incomplete"),
            item("c", "mcp_call", "m", server_label="l", name="f", arguments="{}"),
        ],
    ],
)
def test_calls_that_are_left_out(frames: list[Frame]) -> None:
    """Outputs without a call, and incomplete, deleted or MCP calls, are left out."""
    gone = "conversation.item.deleted"
    frames = [
        {"type": gone, "item_id": frame["deleted"]} if "deleted" in frame else frame
        for frame in frames
    ]

    assert told(*frames) == []


def test_a_call_that_was_listed_twice() -> None:
    """It is restored once, and each of two calls with one ``call_id`` as it was."""
    other = item("c", "function_call", "d", name="g", arguments="{}")
    frames = [called("c", "a"), called("c", "b"), gave("c", "o"), other, gave("c", "p")]
    restored = [(each["id"], each["call_id"]) for each in items(told(*frames))]

    assert restored == [("a", "c"), ("o", "c"), ("d", "c"), ("p", "c")]


def test_items_of_the_new_connection_itself() -> None:
    """Items of the new connection are not sent to it."""
    service = Service()
    old = service.typed("old")
    state = fold(to_records(service.frames))
    new: Frame = {"item": message("n", "user", [{"type": "input_text", "text": "new"}])}
    new |= {"type": "conversation.item.added", "previous_item_id": None}
    for frame in ({"type": "duologue.connecting"}, new):
        state = reduce(state, to_record(frame, epoch=1))
    seeded = [json.loads(encode(event)) for event in reseed(state.sessions["s"])]

    assert [old] == [frame["item"]["id"] for frame in seeded]


@pytest.mark.parametrize(
    ("kind", "asked", "sent"),
    [
        ("realtime", {"model": "m", "instructions": "i"}, {"instructions": "i"}),
        ("realtime", {"type": "realtime"}, {}),
        ("transcription", {"type": "transcription", "include": []}, {"include": []}),
        (
            "translation",
            {"type": "translation", "model": "m", "audio": {"output": {}}},
            {"audio": {"output": {}}},
        ),
        ("realtime", {"instructions": "i" * (2 << 20)}, None),
    ],
)
def test_the_configuration_asked_for(kind: str, asked: Any, sent: Any) -> None:
    """The requested configuration is sent without the fields that cannot be updated."""
    wish = {"type": "session.update", "session": asked}
    frame: Frame = {"type": "duologue.requested", "event": wish}
    if sent is not None and kind != "translation":
        sent = {"type": kind, **sent}
    wanted = [{"type": "session.update", "session": sent}] if sent is not None else []

    assert wanted == told(frame, kind=kind)


def test_a_field_that_is_not_in_the_catalogue() -> None:
    """It is sent to the new connection, because the service was sent it before."""
    config = {"type": "realtime", "brand_new": 1, "instructions": "x"}
    update: Frame = {"type": "session.update", "session": config}
    sent = to_record({**update, "event_id": "e"}, dir="out")
    session = fold([sent]).sessions["s"]

    assert [json.loads(encode(event)) for event in reseed(session)] == [update]


def test_an_item_of_an_unknown_type_in_a_history() -> None:
    """Its JSON is sent, without the id of the other session."""
    fields: Frame = {"type": "hologram", "id": "old", "size": 3}
    item = events.UnknownItem(name="hologram", id="old", fields=fields)
    [event] = restored_items([item])

    assert json.loads(encode(event)) == {
        "type": "conversation.item.create",
        "item": {"type": "hologram", "size": 3},
    }


def test_an_empty_session() -> None:
    """An empty session gives no event."""
    assert list(reseed(Session("s"))) == []


def test_a_transcription_has_no_conversation_to_go_on_with() -> None:
    """The items of a transcription session are not sent."""
    service = Service()
    service.spoken("hello")

    assert told(*service.frames, kind="transcription") == []


def test_the_echo_changes_nothing() -> None:
    """The echo of the sent items changes neither the order nor the items."""
    service = Service()
    service.created()
    service.spoken("hello")
    service.reply("good", " day")
    records: list[Record] = to_records(service.frames)
    state = fold(records)
    created = {"type": "session.created", "session": {"type": "realtime", "id": "n"}}
    state = reduce(state, to_record(created, epoch=1))
    before = state.sessions["s"]
    for event in reseed(before):
        sent = json.loads(encode(event))
        echo = {"type": "conversation.item.added", **sent, "event_id": None}
        echo["type"] = "conversation.item.added"
        state = reduce(state, to_record(echo, epoch=1))
    after = state.sessions["s"]

    assert before.conversation.order == after.conversation.order
    assert before.items == after.items


def test_the_echo_of_an_item_behind_one_that_is_left_out() -> None:
    """Its predecessor there is not the one here, so the order stays.

    The user's speech was cut off, so the service has not said yet where it belongs.
    """
    service = Service()
    service.typed("hello")
    service.typed("")
    spoken = service.start_speech()
    at: Frame = {"item_id": spoken, "content_index": 0}
    kind = "conversation.item.input_audio_transcription.delta"
    service.send(kind, delta="good", **at)
    service.frames.append({"type": "duologue.disconnected"})
    created = {"type": "session.created", "session": {"type": "realtime", "id": "n"}}
    state = reduce(fold(to_records(service.frames)), to_record(created, epoch=1))
    before = state.sessions["s"].conversation.order
    for number, event in enumerate(reseed(state.sessions["s"])):
        sent = {**json.loads(encode(event)), "event_id": f"e{number}"}
        state = reduce(state, to_record(sent, epoch=1, dir="out"))
        echo = {**sent, "type": "conversation.item.added", "event_id": f"k{number}"}
        state = reduce(state, to_record(echo, epoch=1))
    assert state.sessions["s"].conversation.order == before
    assert len(before) == 3


# On a new connection.


def test_a_new_connection_gets_the_conversation() -> None:
    """The conversation is sent first, then the queued response."""
    live, service = begun()
    service.typed("hello")
    service.begin()
    live.play(service)
    live.note(REQUEST)
    live.note({"type": "duologue.disconnected"})
    live.epoch = 1
    live.note({"type": "duologue.connecting"})
    live.note({"type": "duologue.connected"})
    service.created()
    greeting = service.frames[-1]

    assert ("conversation.item.create", *CREATE) == live.play(service)
    assert live.note({**greeting, "event_id": "again"}) == ()


def test_the_same_service_session_is_not_reseeded() -> None:
    """A reconnect to the same server session sends no items."""
    live, service = begun()
    service.typed("hello")
    live.play(service)
    name = live.state.sessions["s"].connection.server_id
    live.epoch = 1
    created: Frame = {"type": "session.created", "session": {"type": "realtime"}}
    created["session"]["id"] = name

    assert live.note(created) == ()


def test_a_late_event_of_an_older_connection() -> None:
    """``session.created`` of an earlier connection sends nothing."""
    live, service = begun()
    service.typed("hello")
    live.play(service)
    live.epoch = 2
    live.note({"type": "duologue.connecting"})
    live.epoch = 1
    service.created()

    assert live.play(service) == ()


def test_a_translation_gets_its_configuration() -> None:
    """A translation gets only its configuration."""
    live = Live()
    request = {"type": "session.update", "session": {"audio": {"output": {}}}}
    live.note({"type": "duologue.requested", "event": request})
    live.epoch = 1
    greeting: Frame = {"type": "session.created", "session": {"type": "translation"}}

    assert live.note(greeting) == ("session.update",)
    assert live.note({**greeting, "event_id": "again"}) == ()


#: The first events of a later connection: none, or these.
GREETINGS: dict[str, list[Frame]] = {
    "silent": [],
    "another session": [
        {"type": "session.created", "session": {"type": "realtime", "id": "sess_new"}}
    ],
    "no id": [{"type": "session.created", "session": {"type": "realtime"}}],
    "an empty id": [
        {"type": "session.created", "session": {"type": "realtime", "id": ""}}
    ],
    "no session.created": [
        {"type": "session.updated", "session": {"type": "realtime", "id": "sess_new"}}
    ],
    "the same session": [
        {"type": "session.created", "session": {"type": "realtime", "id": "sess_0"}}
    ],
}


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("rejoins", [True, False])
@pytest.mark.parametrize("name", GREETINGS)
def test_a_live_session_is_restored_once(
    name: str, rejoins: bool, early: bool, again: bool
) -> None:
    """When events can be sent: after the greeting, or after two seconds without one.

    Not if it is the same session: the driver says that it rejoins the session, and the
    service names no other. The same id alone proves nothing: some services have one.
    ``early``: the greeting arrives before the connection is recorded; ``again``: it is
    repeated.
    """
    machine, at = Machine("s"), 1000.0
    restored: list[int] = []

    def carry_out() -> None:
        for command in machine.commands():
            if isinstance(command, Send):
                frame = json.loads(machine.send(command.event, at))
                if frame.get("item", {}).get("id") == "i":
                    restored.append(machine.session.connection.epoch)
            elif isinstance(command, Connect | Disconnect):
                machine.record(command.fact, at, epoch=command.epoch)

    def record(fact: Any, epoch: int) -> None:
        machine.record(fact, at, epoch=epoch)
        carry_out()

    def receive(frame: Frame, epoch: int) -> None:
        machine.receive(json.dumps(frame), at, epoch=epoch)
        carry_out()

    machine.connect()
    carry_out()
    record(events.Connected(), 0)
    receive({"type": "session.created", "session": {"id": "sess_0"}}, 0)
    said = message("i", "user", [{"type": "input_text", "text": "one"}])
    receive({"type": "conversation.item.added", "item": said}, 0)
    at += 10.0
    record(events.Disconnected(lost=True, can_repeat=True), 0)
    greeting = GREETINGS[name] * (2 if again else 1)
    if early:
        for frame in greeting:
            receive(frame, 1)
    record(events.Connected(rejoins=rejoins), 1)
    assert restored == [] or (early and greeting)
    if not early:
        for frame in greeting:
            receive(frame, 1)
    for _ in range(2):
        at += 2.0
        record(events.Tick(), 1)
    is_named = name in ("another session", "no session.created")
    assert restored == ([] if rejoins and not is_named else [1])


# After a hand-over, the replaced connection has its last words.


class HandingOver:
    """A machine that hands over while items grow; and the items that it sends."""

    def __init__(self) -> None:
        self.machine, self.at = Machine("s"), 1000.0
        #: The items that were sent on the second connection, by their order there.
        self.restored: dict[str, str] = {}
        self.order: list[str] = []
        self.machine.connect()
        self.carry_out()
        self.record(events.Connected(), 0)
        self.greet(0, expires_at=2000)

    def carry_out(self) -> None:
        for command in self.machine.commands():
            if isinstance(command, Send):
                frame = json.loads(self.machine.send(command.event, self.at))
                if "item" in frame:
                    self.add(frame["previous_item_id"], frame["item"])
            elif isinstance(command, Connect | SwitchTo):
                # The replaced connection ends later.
                self.machine.record(command.fact, self.at, epoch=command.epoch)

    def add(self, previous: str, item: Frame) -> None:
        assert item["id"] not in self.order
        self.restored[item["id"]] = item["content"][0]["text"]
        place = 0 if previous == "root" else self.order.index(previous) + 1
        self.order.insert(place, item["id"])

    def record(self, fact: Any, epoch: int) -> None:
        self.at += 0.1
        self.machine.record(fact, self.at, epoch=epoch)
        self.carry_out()

    def receive(self, epoch: int, type: str, **fields: Any) -> None:
        self.at += 0.1
        self.machine.receive(json.dumps({"type": type, **fields}), self.at, epoch=epoch)
        self.carry_out()

    def greet(self, epoch: int, **fields: Any) -> None:
        session = {"type": "realtime", "id": f"sess_{epoch}", **fields}
        self.receive(epoch, "session.created", session=session)

    def switch(self, *, greeted: bool = False) -> None:
        self.at = 1970.0
        self.record(events.Tick(), 0)
        if greeted:
            self.greet(1)
        self.record(events.Connected(successor=True), 1)
        assert self.machine.session.connection.epoch == 1


def _last_words() -> list[Frame]:
    """A spoken turn with its answer, and a typed message."""
    service = Service()
    spoken = service.start_speech()
    service.end_speech(spoken)
    answer = service.begin()
    said = service.say(answer, ["Good", " day", " Ada"])
    service.transcribe(spoken, ["My name", " is Ada"])
    service.finish(said)
    service.end(answer, [])
    service.typed("bye")
    return service.frames


LAST_WORDS = _last_words()


@enough
@given(st.lists(st.integers(0, len(LAST_WORDS)), min_size=3, max_size=3), st.booleans())
def test_the_last_words_of_a_replaced_connection_are_restored(
    cuts: list[int], early: bool
) -> None:
    """Each message once, with all its text and in its place, whenever it arrives.

    Before the switch, before the successor is greeted, or after that; the rest is lost.
    ``early``: the successor is greeted before the switch.
    """
    switch, greeting, end = sorted(cuts)
    talk = HandingOver()
    for number, frame in enumerate((*LAST_WORDS, {})):
        if number == switch:
            talk.switch(greeted=early)
        if number == greeting and not early:
            talk.greet(1)
        if number == end:
            talk.record(events.Disconnected(expected=True), 0)
            break
        talk.receive(0, **frame)
    session = talk.machine.session
    known = {line.item_id: line.text for line in select_transcripts(session)}
    for item_id in known:
        cut = session.items[item_id].truncation
        if cut is not None and cut.heard is not None:
            known[item_id] = cut.heard
    assert talk.restored == {each: text for each, text in known.items() if text}
    assert talk.order == [each for each in known if known[each]]
    assert session.connection.replaced is None


def test_words_after_the_end_of_their_connection() -> None:
    """A driver may record the end before the last frames."""
    talk, service = HandingOver(), Service()
    spoken = service.start_speech()
    service.end_speech(spoken)
    for frame in service.frames:
        talk.receive(0, **frame)
    talk.switch()
    talk.record(events.Disconnected(expected=True), 0)
    talk.greet(1)
    assert talk.restored == {}
    service.frames = []
    service.transcribe(spoken, ["My name is Ada"])
    done = service.frames[-1]
    talk.receive(0, **done)
    talk.receive(0, **{**done, "event_id": "again"})
    assert talk.restored == {spoken: "My name is Ada"}


def test_a_late_confirmation_does_not_send_an_item_twice() -> None:
    """An item that waited for it at the switch was sent with the unconfirmed ones."""
    talk = HandingOver()
    talk.machine.request(send_text("hello", item_id="i"), talk.at)
    for command in talk.machine.commands():
        assert isinstance(command, Send)
        talk.machine.send(command.event, talk.at)
    talk.switch()
    assert talk.restored == {}
    talk.at += 1.0
    said = message("i", "user", [{"type": "input_text", "text": "hello"}])
    frame = {"type": "session.created", "session": {"type": "realtime", "id": "sess_1"}}
    talk.machine.receive(json.dumps(frame), talk.at, epoch=1)
    sent = [each for each in talk.machine.commands() if isinstance(each, Send)]
    assert [encode(each.event) for each in sent] == [
        encode(
            structs.replace(
                send_text("hello", item_id="i"), event_id=each.event.event_id
            )
        )
        for each in sent[:1]
    ]
    for command in sent:
        talk.machine.send(command.event, talk.at)
    talk.receive(0, "conversation.item.added", item=said, previous_item_id=None)
    talk.record(events.Disconnected(expected=True), 0)
    assert talk.restored == {}


def test_an_item_behind_a_refused_one() -> None:
    """Its predecessor is the nearest one that the service has."""
    talk = HandingOver()
    said = [
        message(each, "user", [{"type": "input_text", "text": each}]) for each in "abc"
    ]
    for item in said[:2]:
        talk.receive(0, "conversation.item.added", item=item)
    talk.switch()
    talk.greet(1)
    refused = talk.machine.session.conversation.restored["b"].event_id
    talk.receive(1, "error", error={"event_id": refused, "code": "invalid_value"})
    talk.order.remove("b")
    talk.receive(0, "conversation.item.added", item=said[2], previous_item_id="b")
    assert talk.order == ["a", "c"]


# A service that refuses items.


class Keeper:
    """A service that refuses some items, and those with an unknown predecessor."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.kept: list[str] = []
        self.count = 0

    def answer(self, frame: Frame) -> Frame:
        """The answer to a ``conversation.item.create``."""
        self.count += 1
        item, previous = frame["item"], frame["previous_item_id"]
        known = previous == "root" or previous in self.kept
        if item["id"] in self.refused or not known:
            error = {"code": "invalid_value", "event_id": frame["event_id"]}
            return {"type": "error", "event_id": f"k{self.count}", "error": error}
        at = 0 if previous == "root" else self.kept.index(previous) + 1
        self.kept.insert(at, item["id"])
        added: Frame = {"type": "conversation.item.added", "item": item}
        return {**added, "event_id": f"k{self.count}", "previous_item_id": previous}


@given(
    st.integers(1, 8).flatmap(
        lambda count: st.tuples(
            st.just(count), st.sets(st.integers(0, count - 1)), st.data()
        )
    )
)
def test_a_refused_item_costs_no_other(plan: tuple[int, set[int], Any]) -> None:
    """Any subset may be refused, and answers and sent events may overlap."""
    count, refused, data = plan
    live, service = begun()
    names = [service.typed(f"text {n}") for n in range(count)]
    live.play(service)
    live.sends = False
    live.epoch = 1
    keeper = Keeper({names[n] for n in refused})
    created = {"type": "session.created", "session": {"type": "realtime", "id": "new"}}
    live.note(created)
    to_send, on_the_way = 0, list[Frame]()
    while to_send < len(live.commands) or on_the_way:
        if on_the_way and (
            to_send == len(live.commands) or data.draw(st.booleans(), "answers first")
        ):
            live.note(keeper.answer(on_the_way.pop(0)))
            continue
        command = live.commands[to_send]
        assert isinstance(command, Send)
        frame = json.loads(encode(command.event))
        live.note(frame, "out")
        on_the_way.append(frame)
        to_send += 1

    assert keeper.kept == [name for name in names if name not in keeper.refused]
    assert keeper.count <= count * (len(refused) + 1)
    session = live.state.sessions["s"]
    assert len(session.problems) == len(refused)
    assert list(session.conversation.order) == names


def test_a_later_connection_gets_a_refused_item_too() -> None:
    """Another service session may accept it."""
    live, service = begun()
    names = [service.typed("one"), service.typed("two")]
    live.play(service)
    for epoch in (1, 2):
        live.epoch = epoch
        created = {"type": "realtime", "id": f"sess_{epoch}0"}
        found = live.note({"type": "session.created", "session": created})
        assert found == ("conversation.item.create",) * len(names)
        sent = live.state.sessions["s"].dedup.sent[-2]
        live.note({"type": "error", "error": {"event_id": sent.id}})


# Changes of the configuration.


class Configured:
    """A service that refuses some changes, by their instructions; and its client."""

    def __init__(self, *, answers: bool = True) -> None:
        self.live = Live()
        self.answers = answers
        self.sent: list[Frame] = []
        self.seen = 0
        self.count = 0

    def connect(self, epoch: int) -> list[Any]:
        """A new connection; returns the configurations that are sent on it."""
        self.live.epoch = epoch
        self.sent = []
        self.live.note({"type": "duologue.connecting"})
        self.live.note({"type": "duologue.connected"})
        self.live.note(self._whole("session.created"))
        self.answer()
        return [frame["session"] for frame in self.sent]

    def _whole(self, type: str) -> Frame:
        config = {"type": "realtime", "id": f"sess_{self.live.epoch}"}
        self.count += 1
        return {"type": type, "event_id": f"c{self.count}", "session": config}

    def request(self, **config: Any) -> None:
        event = {"type": "session.update", "session": {"type": "realtime", **config}}
        self.live.note({"type": "duologue.requested", "event": event})
        self.answer()

    def answer(self) -> None:
        """Answer the updates so far, in their order."""
        for command in self.live.commands[self.seen :]:
            if isinstance(command, Send):
                self.sent.append(json.loads(encode(command.event)))
                if self.answers:
                    self.live.note(self._answer(self.sent[-1]))
        self.seen = len(self.live.commands)

    def _answer(self, frame: Frame) -> Frame:
        self.count += 1
        if "bad" in str(frame["session"]):
            error = {"code": "unknown_parameter", "event_id": frame["event_id"]}
            return {"type": "error", "event_id": f"c{self.count}", "error": error}
        return self._whole("session.updated")


REALTIME = {"type": "realtime"}


def test_a_refused_change_is_not_restored() -> None:
    """The accepted changes are, in one event; the refused one is in no later one."""
    far = Configured()
    far.request(model="m", instructions="good", output_modalities=["text"])
    assert far.connect(0) == []
    far.request(max_output_tokens=5)
    far.request(instructions="bad", max_output_tokens=7)
    far.request(tool_choice="none")
    wanted = {
        **REALTIME,
        "instructions": "good",
        "output_modalities": ["text"],
        "max_output_tokens": 5,
        "tool_choice": "none",
    }
    for epoch in (1, 2):
        assert far.connect(epoch) == [wanted]
    base = json.loads(far.live.state.sessions["s"].connection.base)
    assert base == {**wanted, "model": "m"}


def test_changes_without_an_answer_are_sent_one_by_one() -> None:
    """First the configuration of the session, then each change, on each connection."""
    far = Configured(answers=False)
    far.request(instructions="first")
    far.connect(0)
    far.request(instructions="second")
    far.request(max_output_tokens=5)
    wanted = [
        {**REALTIME, "instructions": "first"},
        {**REALTIME, "instructions": "second"},
        {**REALTIME, "max_output_tokens": 5},
    ]
    for epoch in (1, 2, 3):
        assert far.connect(epoch) == wanted


def test_a_change_that_waits_is_refused_on_the_next_connection() -> None:
    """It costs neither the accepted configuration nor the changes behind it."""
    far = Configured()
    far.request(instructions="first")
    far.connect(0)
    far.request(tool_choice="none")
    far.answers = False
    far.request(instructions="bad")
    far.request(max_output_tokens=5)
    far.answers = True
    first = {**REALTIME, "instructions": "first", "tool_choice": "none"}
    last = {**REALTIME, "max_output_tokens": 5}
    assert far.connect(1) == [first, {**REALTIME, "instructions": "bad"}, last]
    assert far.connect(2) == [{**first, **last}]


def test_a_refused_first_configuration() -> None:
    """The model stays, because it is needed to connect."""
    far = Configured()
    far.live.note({"type": "duologue.connecting"})
    config: Frame = {**REALTIME, "instructions": "bad"}
    event: Frame = {"type": "session.update", "session": config}
    request = {**event, "session": {**config, "model": "m"}}
    far.live.note({"type": "duologue.requested", "event": request})
    far.live.note({"type": "session.created", "session": {**REALTIME, "id": "sess_0"}})
    far.live.note({**event, "event_id": "transport"}, "out")
    far.live.note({"type": "error", "error": {"event_id": "transport"}})
    far.request(instructions="good")
    assert far.connect(1) == [{**REALTIME, "instructions": "good"}]
    assert json.loads(far.live.state.sessions["s"].connection.base)["model"] == "m"


def test_the_items_of_another_session() -> None:
    """They are sent in order, without ids; incomplete calls are left out."""
    service = Service()
    service.typed("one")
    service.reply("two", spoken=False)
    frames = [*service.frames, called("c", "a", "incomplete")]
    session = fold(to_records(frames)).sessions["s"]

    assert [json.loads(encode(event)) for event in restored_items(session)] == [
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": role,
                "content": [{"type": type, "text": text}],
            },
        }
        for role, type, text in (
            ("user", "input_text", "one"),
            ("assistant", "output_text", "two"),
        )
    ]


@pytest.mark.parametrize("status", ["completed", "deleted"])
def test_a_refused_item_that_was_deleted(status: str) -> None:
    """It is not sent again; another one is, behind the nearest item that was kept."""
    part = Part("input_text", text=Rope("hello"))
    restored = {
        "a": RestoredItem("ea", refused=("ea",), dropped=True),
        "b": RestoredItem("eb", "a", "ea"),
    }
    session = Session(
        "s",
        items=Map({"b": Item("b", "message", "user", status, parts=(part,))}),
        conversation=Conversation(restored=Map(restored), restoring=Map({"eb": "b"})),
    )
    error: Frame = {"type": "error", "error": {"event_id": "eb", "message": "no"}}
    found = list(restore_refused(session, to_record(error), session))
    item = events.MessageItem(
        id="b", role="user", content=(events.InputTextPart(text="hello"),)
    )
    again = events.ConversationItemCreate(item=item, previous_item_id="root")

    assert found == ([again] if status == "completed" else [])


def test_a_late_item_in_front_of_those_of_the_new_connection() -> None:
    """Its predecessor is the nearest earlier item; the new connection's stay behind."""
    talk = HandingOver()
    a, n, c = (
        message(each, "user", [{"type": "input_text", "text": each}]) for each in "anc"
    )
    talk.receive(0, "conversation.item.added", item=a)
    talk.switch()
    talk.greet(1)
    talk.receive(1, "conversation.item.added", item=n, previous_item_id="a")
    talk.receive(0, "conversation.item.added", item=c, previous_item_id="a")
    talk.record(events.Disconnected(expected=True), 0)

    assert talk.order == ["a", "c"]
    assert [*talk.machine.session.conversation.order] == ["a", "c", "n"]


def test_a_configuration_that_is_no_event() -> None:
    """It is not sent; the changes behind it are."""
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    connection = Connection(
        requested="{}",
        accepted=f'{{"new":{deep}}}',
        changes=(ConfigChange('{"instructions":"x"}'),),
    )
    found = reseed(Session("s", connection=connection))

    assert [json.loads(encode(event)) for event in found] == [
        {
            "type": "session.update",
            "session": {"type": "realtime", "instructions": "x"},
        }
    ]
