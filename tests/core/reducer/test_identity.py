"""The items and the responses that the ids in an event stand for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Machine,
    Record,
    State,
    dump,
    fold,
    load,
    react,
    reduce,
    select_transcripts,
)
from duologue.core.effects.commands import (
    Connect,
    RunTool,
    Send,
    create_item,
    delete_item,
    send_text,
    truncate,
)
from duologue.core.events import (
    Disconnected,
    InputTextPart,
    Interrupted,
    MessageItem,
    Played,
    Tick,
)
from duologue.core.reducer.identity import state_ids_of
from duologue.core.reducer.identity.uses import Use, can_be, has_text, is_copy
from duologue.core.testing import Script, scripts, to_records
from duologue.core.testing.stream import Frame, Stream

#: What a service counts its ids in. "nothing": all outputs have the same id.
COUNTERS = ("connection", "response", "nothing")

#: Events that refer to an item that may be old.
REFERENCES = (
    "conversation.item.deleted",
    "conversation.item.retrieved",
    "conversation.item.truncated",
)


class _Counter:
    """Renames the ids of outputs and responses, so that they are used again.

    The client restores an item under its id in the state, and the service keeps it.
    """

    def __init__(self, per: str, *, items: bool = True, responses: bool = True) -> None:
        self._per = per
        self._counted = {"item": items, "resp": responses}
        self._counts = {"item": 0, "resp": 0}
        #: The ids of this connection, and those in the state, by the original ones.
        self._names: dict[str, str] = {}
        self._state_ids: dict[str, str] = {}
        self._uses: dict[str, int] = {}

    def frame(self, frame: Frame) -> Frame:
        """The frame of a service that counts."""
        match frame:
            case {"type": "session.created"}:
                self._counts = {"item": 0, "resp": 0}
                self._names = dict(self._state_ids)
            case {"type": "response.created", "response": {"id": response_id}}:
                if self._per == "response":
                    self._counts["item"] = 0
                self._add("resp", response_id)
            case {"type": "response.output_item.added", "item": {"id": item_id}}:
                self._add("item", item_id)
        renamed: Frame = self._renamed(frame)
        return renamed

    def _add(self, kind: str, original: str) -> None:
        if self._counted[kind]:
            if self._per != "nothing" or kind == "resp":
                self._counts[kind] += 1
            name = f"{kind}_n{self._counts[kind]}"
            uses = self._uses[name] = self._uses.get(name, 0) + 1
            self._names[original] = name
            self._state_ids[original] = name if uses == 1 else f"{name}~{uses}"

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._renamed(each) for each in value]
        if isinstance(value, dict):
            return {key: self._renamed(each) for key, each in value.items()}
        return self._names.get(value, value) if isinstance(value, str) else value


def talk(stream: Stream | list[Record]) -> tuple[Any, ...]:
    """The texts and the calls of a session."""
    session = fold(stream).sessions["s"]
    lines = [(line.role, line.text, line.final) for line in select_transcripts(session)]
    calls = sorted(
        (item.call.call_id or "", item.call.name, str(item.call.arguments))
        for item in session.items.values()
        if item.type == "function_call" and item.call is not None
    )
    return lines, calls


def tools_run(stream: Stream | list[Record]) -> list[tuple[str, str]]:
    """The calls that `react` runs along a stream, with their arguments."""
    state, found = State(), []
    for record in stream:
        before, state = state, reduce(state, record)
        for command in react(before, record, state):
            if isinstance(command, RunTool):
                session = state.sessions["s"]
                link = session.conversation.calls[command.call_id]
                call = session.items[link.call or ""].call
                assert call is not None
                found.append((command.call_id, str(call.arguments)))
    return found


@given(
    scripts(turns=4),
    st.sampled_from(COUNTERS),
    st.sampled_from([(True, False), (False, True), (True, True)]),
)
def test_counted_ids(script: Script, per: str, which: tuple[bool, bool]) -> None:
    """Ids that are used again lose no words and no call, and run none otherwise."""
    items, responses = which
    counter = _Counter(per, items=items, responses=responses)
    if per != "connection":
        # It cannot be told which one of the items with the same id is meant.
        assume(not any(each["type"] in REFERENCES for each in script.frames))
    plain = to_records(script.frames)
    counted = to_records([counter.frame(each) for each in script.frames])

    assert talk(counted) == talk(plain)
    assert tools_run(counted) == tools_run(plain)


def said(*frames: Frame) -> list[tuple[str, str]]:
    """The transcript after these frames: role and text."""
    session = fold(to_records(list(frames))).sessions["s"]
    return [(line.role, line.text) for line in select_transcripts(session)]


def calls(*frames: Frame) -> dict[str, tuple[str | None, str, str]]:
    """The function calls after these frames: call id, name and arguments."""
    session = fold(to_records(list(frames))).sessions["s"]
    return {
        item.id: (item.call.call_id, item.call.name, str(item.call.arguments))
        for item in session.items.values()
        if item.type == "function_call" and item.call is not None
    }


def created(response_id: str | None = "r", **fields: Any) -> Frame:
    """A response begins."""
    response = {"id": response_id, "status": "in_progress", "conversation_id": "c"}
    return {"type": "response.created", "response": response, **fields}


def done(response_id: str | None = "r", *output: Frame) -> Frame:
    """A response ends."""
    response = {"id": response_id, "status": "completed", "conversation_id": "c"}
    return {"type": "response.done", "response": {**response, "output": list(output)}}


def delta(text: str, item_id: str = "i", response_id: str = "r") -> Frame:
    """A delta of the text of a reply."""
    ids = {"response_id": response_id, "item_id": item_id, "content_index": 0}
    return {"type": "response.output_text.delta", **ids, "delta": text}


def arguments(
    text: str, call_id: str, item_id: str = "i", response_id: str = "r", **fields: Any
) -> Frame:
    """The final arguments of a call."""
    ids = {"response_id": response_id, "item_id": item_id, "call_id": call_id}
    type = "response.function_call_arguments.done"
    return {"type": type, **ids, "arguments": text, "name": f"f_{call_id}", **fields}


def reply(text: str, item_id: str | None = "i", status: str = "completed") -> Frame:
    """A message of the assistant."""
    content = [{"type": "output_text", "text": text}]
    item: Frame = {"type": "message", "role": "assistant", "status": status}
    item |= {"content": content if text else []}
    return item if item_id is None else {**item, "id": item_id}


def call(call_id: str, text: str, item_id: str | None = "i") -> Frame:
    """A function call."""
    item: Frame = {"type": "function_call", "call_id": call_id, "name": f"f_{call_id}"}
    item |= {"arguments": text, "status": "completed"}
    return item if item_id is None else {**item, "id": item_id}


def item_event(event: str, item: Frame, **fields: Any) -> Frame:
    """An event with an item; ``output`` ones belong to the response ``r``."""
    if event.startswith("output"):
        fields = {"response_id": "r", "output_index": 0, **fields}
        return {"type": f"response.{event}", "item": item, **fields}
    return {"type": f"conversation.{event}", "item": item, **fields}


def output(item: Frame) -> Frame:
    """An output of the response ``r`` is complete."""
    return item_event("output_item.done", item)


def test_words_and_a_call_have_one_id() -> None:
    """A message and a call with the same item id are two items."""
    frames = (created(), delta("Let me"), arguments("{}", "c"), delta(" look."), done())

    assert said(*frames) == [("assistant", "Let me look.")]
    assert calls(*frames) == {"i~2": ("c", "f_c", "{}")}
    assert tools_run(to_records(list(frames))) == [("c", "{}")]


@pytest.mark.parametrize("how", ["arguments", "items", "done", "conversation"])
def test_two_calls_have_one_id(how: str) -> None:
    """Two calls with the same item id are kept apart by their ``call_id``."""
    one, two = call("c", '{"a":1}'), call("d", '{"b":2}')
    frames = {
        "arguments": (arguments('{"a":1}', "c"), arguments('{"b":2}', "d"), done()),
        "items": (
            output(one),
            output(two),
            done("r", one, two),
        ),
        "done": (done("r", one, two),),
        "conversation": (
            item_event("item.added", one),
            item_event("item.added", two),
            item_event("item.done", two),
            item_event("item.done", one),
        ),
    }[how]
    stream = (created(), *frames)

    assert calls(*stream) == {
        "i": ("c", "f_c", '{"a":1}'),
        "i~2": ("d", "f_d", '{"b":2}'),
    }
    assert sorted(tools_run(to_records(list(stream)))) == [
        ("c", '{"a":1}'),
        ("d", '{"b":2}'),
    ]


@pytest.mark.parametrize(
    "frames",
    [
        [done("r", call("c", "{}", "i"), call("c", "{}", "j"))],
        [
            output(call("c", "{}")),
            done("r", call("c", "{}", "j")),
        ],
        [arguments("{}", "c"), output(call("c", "{}", "j"))],
        [arguments("{}", "c"), item_event("item.done", call("c", "{}", "j")), done()],
        [done("r", call("c", "{}"), call("c", "{}"))],
        [arguments("{}", "c"), done("r", call("c", "{}", None))],
        [output(call("c", "{}", None)), done()],
    ],
)
def test_one_call_has_two_ids(frames: list[Frame]) -> None:
    """A call of a response under two item ids, or without one, is run once."""
    stream = [created(), *frames]

    assert tools_run(to_records(stream)) == [("c", "{}")]


def again(*numbers: int) -> Frame:
    """The end of a response that lists equal calls with these numbers in their ids."""
    listed = [call(f"c{n}", "{}", f"f{n}") for n in numbers]
    return done("r", *({**item, "name": "f"} for item in listed))


@pytest.mark.parametrize(
    ("listed", "run"),
    [
        # With new ids, each in place of one that is not listed.
        ([3], ["c1", "c2"]),
        ([3, 4], ["c1", "c2"]),
        ([2, 3], ["c1", "c2"]),
        # More calls than known.
        ([1, 2, 3], ["c1", "c2", "c3"]),
        ([3, 4, 5], ["c1", "c2", "c5"]),
    ],
)
def test_calls_are_listed_with_new_ids(listed: list[int], run: list[str]) -> None:
    """A listed call that equals an unlisted one is not run again."""
    begun = [arguments("{}", f"c{n}", f"f{n}", name="f") for n in (1, 2)]
    stream = to_records([created(), *begun, again(*listed)])

    assert sorted(call_id for call_id, _ in tools_run(stream)) == run


@pytest.mark.parametrize(
    "frames",
    [
        [done("r", reply("Hello.", "j"))],
        [done("r", reply("Hello.", None))],
        [done("r", reply("Hello.", "j"), reply("Hello.", "j"))],
        [output(reply("Hello.", None)), done()],
        [
            output(reply("Hello.", None)),
            done("r", reply("Hello.", None)),
        ],
        [
            item_event("output_item.added", reply("", None, "in_progress")),
            output(reply("Hello.", None)),
            done("r", reply("Hello.", None)),
        ],
    ],
)
@pytest.mark.parametrize("begun", [[], [delta("Hel")], [delta("Hello.")]])
def test_one_message_has_two_ids(begun: list[Frame], frames: list[Frame]) -> None:
    """A message that is listed under another id, or without one, is one message."""
    assert said(created(), *begun, *frames) == [("assistant", "Hello.")]


def test_outputs_without_ids() -> None:
    """The outputs of a ``response.done`` are its only mention: all are kept."""
    output = (reply("One.", None), call("c", "{}", None), reply("Two.", None))

    assert said(created(), done("r", *output)) == [
        ("assistant", "One."),
        ("assistant", "Two."),
    ]
    assert tools_run(to_records([created(), done("r", *output)])) == [("c", "{}")]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "mcp_call", "error": {"type": "http_error", "message": "no"}},
        {"type": "mcp_call", "output": "3"},
        {"type": "mcp_approval_request"},
    ],
)
def test_a_call_of_a_server_is_listed_without_an_id(item: Frame) -> None:
    """It is the call with these arguments, so it has one error and one output."""
    item = {"name": "look", "server_label": "shop", "arguments": '{"a":1}', **item}
    begun = {**item, "id": "m", "arguments": ""}
    ended = {**item, "id": "m"}
    frames = [created(), item_event("output_item.added", begun), output(ended)]
    session = fold(to_records([*frames, done("r", item)])).sessions["s"]

    assert list(session.items) == ["m"]


def test_a_message_is_listed_that_no_event_named() -> None:
    """An unknown output is another message if its text is not that of a known one."""
    stream = (created(), delta("One."), done("r", reply("One."), reply("Two.", "j")))

    assert said(*stream) == [("assistant", "One."), ("assistant", "Two.")]
    assert said(created(), delta("One."), done("r", reply("Two.", "j"))) == [
        ("assistant", "One."),
        ("assistant", "Two."),
    ]


@pytest.mark.parametrize("response_id", ["r", "q"])
@pytest.mark.parametrize("named", [True, False])
def test_each_response_counts_its_items(response_id: str, named: bool) -> None:
    """Item ids, and ids of responses, that come again in a later response."""
    second = (
        created(response_id, event_id="e2"),
        item_event(
            "output_item.added",
            reply("", "i", "in_progress"),
            response_id=response_id if named else "",
        ),
        delta("Two.", response_id=response_id if named else ""),
        done(response_id, reply("Two.")),
    )
    stream = (created(event_id="e1"), delta("One."), done("r", reply("One.")), *second)

    assert said(*stream) == [("assistant", "One."), ("assistant", "Two.")]
    session = fold(to_records(list(stream))).sessions["s"]
    assert [each.status for each in session.responses.by_id.values()] == [
        "completed",
        "completed",
    ]
    assert session.responses.active is None


def test_a_copy_of_created_begins_nothing() -> None:
    """A ``response.created`` without an ``event_id`` may be a late copy."""
    session = fold(to_records([created(), done(), created()])).sessions["s"]

    assert [*session.responses.order] == ["r"]


def test_a_response_that_was_not_announced() -> None:
    """A service that names another response in its deltas has one reply."""
    stream = (created("r"), delta("One", "i", "x"), delta(" two.", "i", "y"), done("r"))

    assert said(*stream) == [("assistant", "One two.")]


class Live:
    """A live session, and a service of which a test writes the frames."""

    def __init__(self, *, rejoins: bool = False) -> None:
        self.machine = Machine("s")
        self.at, self.epoch, self.rejoins = 1000.0, -1, rejoins
        self.machine.connect()

    def run(self) -> list[Frame]:
        """Carry out the commands; returns the sent events."""
        sent: list[Frame] = []
        for command in self.machine.commands():
            self.at += 0.1
            if isinstance(command, Connect):
                self.epoch = command.epoch
                self.machine.record(command.fact, self.at, epoch=command.epoch)
                fact = replace(command.connected, rejoins=self.rejoins)
                self.machine.record(fact, self.at, epoch=command.epoch)
            elif isinstance(command, Send):
                sent.append(json.loads(self.machine.send(command.event, self.at)))
        return sent

    def frames(self, *frames: Frame) -> list[Frame]:
        """Receive frames; returns the events that are sent then."""
        for frame in frames:
            self.at += 0.1
            self.machine.receive(json.dumps(frame), self.at, epoch=self.epoch)
        return self.run()

    def greet(self, server_id: str) -> list[Frame]:
        """The service begins the session on this connection."""
        session = {"type": "realtime", "id": server_id}
        return self.frames({"type": "session.created", "session": session})

    def lose(self) -> list[Frame]:
        """The connection is lost, and the next one is made."""
        fact = Disconnected(lost=True, can_repeat=True, chance=0.0)
        self.machine.record(fact, self.at)
        self.run()
        self.at += 1.0
        self.machine.record(Tick(), self.at)
        return self.run()

    def request(self, event: Any) -> list[Frame]:
        """The application requests an event."""
        self.machine.request(event, self.at)
        return self.run()

    def said(self) -> list[tuple[str, str]]:
        """The transcript: role and text."""
        lines = select_transcripts(self.machine.session)
        return [(line.role, line.text) for line in lines]


def added(item: Frame, item_id: str, previous: str | None = None) -> Frame:
    """The service has added an item that the client created, under this id."""
    item = {**item, "id": item_id, "status": "completed"}
    return item_event("item.added", item, previous_item_id=previous)


TALK = [("user", "hi"), ("assistant", "Yes."), ("user", "hi")]


def test_a_service_gives_its_own_ids() -> None:
    """What confirms an item is the same item, on each connection, whatever its id."""
    live = Live()
    live.run()
    live.greet("sess_0")
    (first,) = live.request(send_text("hi"))
    live.frames(
        added(first["item"], "x1"),
        created(),
        item_event("item.added", reply("Yes.", "x2"), previous_item_id="x1"),
        item_event("output_item.done", reply("Yes.", "x2")),
        done("r", reply("Yes.", "x2")),
    )
    (last,) = live.request(send_text("hi"))
    live.frames(added(last["item"], "x3", "x2"))

    assert live.said() == TALK
    for epoch in (1, 2):
        live.lose()
        sent = live.greet(f"sess_{epoch}")
        items = [each["item"] for each in sent]
        assert [each["content"][0]["text"] for each in items] == ["hi", "Yes.", "hi"]
        assert not live.machine.session.conversation.unconfirmed or epoch
        # The same ids for other items.
        names = ["x3", "x1", "x2"] if epoch == 1 else ["y1", "y2", "y3"]
        previous: str | None = None
        for item, name in zip(items, names, strict=True):
            live.frames(added(item, name, previous))
            done_item = {**item, "id": name, "status": "completed"}
            live.frames(item_event("item.done", done_item))
            previous = name
        assert live.said() == TALK
        assert not live.machine.session.conversation.restoring

    (deleted,) = live.request(delete_item(first["item"]["id"]))
    assert deleted["item_id"] == "y1"
    live.frames({"type": "conversation.item.deleted", "item_id": "y1"})
    assert live.said() == TALK[1:]
    created_behind = create_item(
        MessageItem(role="user", content=(InputTextPart(text="x"),)),
        previous_item_id=last["item"]["id"],
    )
    (behind,) = live.request(created_behind)
    assert behind["previous_item_id"] == "y3"
    live.frames({**item_event("item.added", behind["item"]), "previous_item_id": "y3"})
    assert live.said()[-1] == ("user", "x")


def counted(text: str) -> list[Frame]:
    """A reply of a service that counts its ids on each connection."""
    return [
        created(),
        item_event("output_item.added", reply("", "i", "in_progress")),
        item_event("item.added", reply("", "i", "in_progress")),
        delta(text),
        item_event("item.done", reply(text)),
        done("r", reply(text)),
    ]


def test_the_client_gets_the_ids_of_this_connection() -> None:
    """Commands name an item and a response with the ids of their connection."""
    live = Live()
    live.run()
    live.greet("sess_0")
    live.frames(*counted("One."))
    live.lose()
    (restored,) = live.greet("sess_1")
    assert (restored["item"]["id"], restored["previous_item_id"]) == ("i", "root")
    live.frames(added(restored["item"], "i"), *counted("Two.")[:4])

    assert live.said() == [("assistant", "One."), ("assistant", "Two.")]
    assert live.machine.session.responses.active == "r~2"
    live.machine.record(Played(item_id="i", ms=50), live.at)
    assert live.machine.session.items["i~2"].placement.played_ms == 50
    live.machine.record(Interrupted(), live.at)
    sent = live.run()
    assert [each["response_id"] for each in sent if "response_id" in each] == ["r"]
    (truncated,) = live.request(truncate("i~2", 60_000))
    assert truncated["item_id"] == "i"
    assert live.machine.session.items["i~2"].truncation is not None
    assert live.machine.session.items["i"].truncation is None

    live.frames(*counted("Two.")[4:])
    live.lose()
    sent = live.greet("sess_2")
    assert [each["item"]["id"] for each in sent] == ["i", "i~2"]
    assert sent[1]["previous_item_id"] == "i"
    live.frames(*counted("Three."))
    live.frames(*(added(each["item"], each["item"]["id"]) for each in sent))
    assert [text for _, text in live.said()][-1] == "Three."
    assert len(live.said()) == 3


def test_a_session_that_is_joined_again_has_the_same_items() -> None:
    """A sideband that rejoins the session of the service sees the same items."""
    live = Live(rejoins=True)
    live.run()
    live.greet("sess_0")
    live.frames(*counted("One.")[:4])
    live.lose()
    live.greet("sess_0")
    live.frames(delta(" More."), *counted("One. More.")[4:])

    # The reply ended with its connection.
    assert live.said() == [("assistant", "One.")]
    assert [*live.machine.session.conversation.order] == ["i"]
    assert live.machine.session.conversation.identity is None


def test_equal_items_are_confirmed_in_order() -> None:
    """Two equal messages are not mistaken for each other if the service keeps ids."""
    live = Live()
    live.run()
    live.greet("sess_0")
    sent = [*live.request(send_text("hi")), *live.request(send_text("hi"))]
    live.frames(*(added(each["item"], each["item"]["id"]) for each in sent))

    assert live.said() == [("user", "hi"), ("user", "hi")]
    assert live.machine.session.conversation.identity is None


def test_a_snapshot_keeps_the_ids() -> None:
    """A state with ids that were used again is the same after `load`."""
    first = [created(event_id="a"), delta("One."), arguments("{}", "c"), done()]
    second = [created(event_id="b"), delta("Two."), done()]
    state = fold(to_records([*first, *second]))

    assert load(dump(state)) == state


def at(index: int, text: str) -> list[Frame]:
    """An announced message: it begins, its text, it ends."""
    return [
        item_event(
            "output_item.added", reply("", status="in_progress"), output_index=index
        ),
        *spoken_at(index, text),
        item_event("output_item.done", reply(text), output_index=index),
    ]


def spoken_at(index: int, text: str, kind: str = "output_text") -> list[Frame]:
    """The deltas and the final text of an output."""
    key = "text" if kind == "output_text" else "transcript"
    ids = {"response_id": "r", "item_id": "i", "content_index": 0}
    ids |= {"output_index": index}
    return [
        {"type": f"response.{kind}.delta", **ids, "delta": text},
        {"type": f"response.{kind}.done", **ids, key: text},
    ]


def ambiguous(*frames: Frame) -> list[tuple[str | None, str]]:
    """The items of ambiguous events, and the events."""
    session = fold(to_records(list(frames))).sessions["s"]
    return [
        (each.item_id, each.message.partition(": ")[2])
        for each in session.problems
        if each.kind == "ambiguous_item_id"
    ]


ONE, TWO = at(0, "One."), at(1, "Two.")
AUDIO = "output_audio_transcript"


@pytest.mark.parametrize("listed", [(), (reply("One."), reply("Two."))])
@pytest.mark.parametrize(
    ("frames", "event"),
    [
        ([*ONE, *TWO], "response.output_item.added"),
        (
            [*spoken_at(0, "One."), *spoken_at(1, "Two.")],
            "response.output_text.done",
        ),
        (
            [*spoken_at(0, "One.", AUDIO), *spoken_at(1, "Two.", AUDIO)],
            "response.output_audio_transcript.done",
        ),
    ],
)
def test_two_messages_of_a_response_have_one_id(
    frames: list[Frame], event: str, listed: tuple[Frame, ...]
) -> None:
    """No words are lost, and a problem names the item."""
    stream = [created(), *frames, done("r", *listed)]

    assert said(*stream) == [("assistant", "One."), ("assistant", "Two.")]
    assert ambiguous(*stream) == [("i~2", f"a {event} was read as an event of i~2")]


def test_two_open_messages_have_one_id() -> None:
    """Their order is that of `response.done`; a problem names each of them."""
    pairs = zip(ONE, TWO, strict=True)
    stream = [created(), *(frame for pair in pairs for frame in pair)]
    stream.append(done("r", reply("One."), reply("Two.")))

    assert said(*stream) == [("assistant", "One."), ("assistant", "Two.")]
    assert [item_id for item_id, _ in ambiguous(*stream)] == ["i", "i~2"]


@pytest.mark.parametrize(
    "stream",
    [*([*ONE, again] for again in ONE), [*TWO, *TWO[2:], done("r", reply("Two."))]],
)
def test_a_repeated_output_is_not_ambiguous(stream: list[Frame]) -> None:
    """An event of a known output is a copy, also if the log begins behind the first."""
    assert len(said(created(), *stream)) == 1
    assert ambiguous(created(), *stream) == []


@pytest.mark.parametrize("item", [reply("One."), call("c", "{}")])
def test_an_output_is_listed_twice(item: Frame) -> None:
    """It is one item, and a call is run once, but a problem says that it is listed
    twice.
    """
    stream = [created(), done("r", item, item)]

    assert ambiguous(*stream) == [("i", "a response.done was read as an event of i")]
    session = fold(to_records(stream)).sessions["s"]
    assert list(session.items) == ["i"]
    assert len(tools_run(to_records(stream))) == (item["type"] == "function_call")


@pytest.mark.parametrize("kind", ["deleted", "truncated"])
def test_a_reference_to_several_items(kind: str) -> None:
    """It is read as one to the last item, and a problem says so; once for each item.

    If all but one were deleted, it is not ambiguous. What this client sends is not
    either.
    """
    name = f"conversation.item.{kind}"
    refers: Frame = {"type": name, "item_id": "i", "audio_end_ms": 0}
    refers |= {"content_index": 0}
    first = [created(), delta("One."), done()]
    second = [created("q"), delta("Two.", "i", "q"), done("q")]
    sends = {**refers, "type": "conversation.item.delete"}

    assert ambiguous(*first, *second, sends) == []
    assert ambiguous(*first, *second, refers, refers) == [
        ("i~2", f"a {name} was read as an event of i~2")
    ]
    gone = {"type": "conversation.item.deleted", "item_id": "i"}
    assert ambiguous(*first, gone, *second, refers) == []


def responses_of(*frames: Frame) -> list[tuple[str, list[str]]]:
    """The responses after these frames, in order, and their items."""
    session = fold(to_records(list(frames))).sessions["s"]
    by_id = session.responses.by_id
    return [(each, list(by_id[each].item_ids)) for each in session.responses.order]


REQUEST: Frame = {"type": "response.create"}
FIRST, SECOND = "anonymous_1", "anonymous_2"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([created(None), created(None)], [(FIRST, [])]),
        (
            [REQUEST, created(None), delta("One.", "i", ""), done(None)],
            [(FIRST, ["i"])],
        ),
        (
            [created(None), delta("One.", "i", ""), created(None)],
            [(FIRST, ["i"]), (SECOND, [])],
        ),
        ([created(None), done(None, reply("One."))], [(FIRST, ["i"])]),
        ([done(None, reply("One."))], [(FIRST, ["i"])]),
        ([done(None)], []),
        (
            [
                *(created(), delta("One."), created("q"), delta("Two.", "j", "q")),
                done(None, reply("One.")),
            ],
            [("r", ["i"]), ("q", ["j"])],
        ),
        (
            [created(), delta("One."), done(None, reply("Two.", "j"))],
            [("r", ["i", "j"])],
        ),
    ],
)
def test_responses_without_ids(
    frames: list[Frame], expected: list[tuple[str, list[str]]]
) -> None:
    """A response gets an id; an event without one belongs to the active response,
    unless its output is that of another one.
    """
    assert responses_of(*frames) == expected


def test_an_out_of_band_response_without_an_id() -> None:
    """It is unknown: nothing shows which response of the session it is."""
    frame = created(None)
    frame["response"]["conversation_id"] = None

    assert responses_of(frame) == []


def test_the_buffer_plays_a_response() -> None:
    """An event of the output buffer names the last response with its id, or none."""
    again = [created(), delta("One."), done(), REQUEST, created()]
    started: Frame = {"type": "output_audio_buffer.started", "response_id": "r"}
    session = fold(to_records([*again, started])).sessions["s"]
    assert session.activity.playing == "r~2"
    for frames in ([created(), started], [created(), {**started, "response_id": ""}]):
        assert responses_of(*frames) == [("r", [])]


def speech(event: str, **fields: Any) -> Frame:
    """An event of the user's speech, always of the item ``u``."""
    return {"type": f"input_audio_buffer.{event}", "item_id": "u", **fields}


def transcript(text: str) -> Frame:
    """The final transcript of the item ``u``."""
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": "u", "content_index": 0, "transcript": text}


PLACED: Frame = {"previous_item_id": None}
ANSWER = [created(), done("r", reply("a"))]


@pytest.mark.parametrize(
    "turn",
    [
        [speech("speech_started"), speech("speech_stopped"), speech("committed")],
        [speech("speech_started"), speech("committed", **PLACED)],
        [speech("committed", **PLACED)],
    ],
    ids=["detected", "pressed", "committed"],
)
@pytest.mark.parametrize("answer", [ANSWER, []], ids=["answered", "unanswered"])
def test_the_user_speaks_again_under_one_id(
    turn: list[Frame], answer: list[Frame]
) -> None:
    """Speech that begins after the final transcript of other speech is another item."""
    frames = [*turn, transcript("one"), *answer, *turn, transcript("two")]
    between = [("assistant", "a")] if answer else []

    assert said(*frames) == [("user", "one"), *between, ("user", "two")]


def test_speech_is_committed_again_after_its_answer() -> None:
    """Without predecessors, the answer shows that the first speech was committed."""
    turn = [speech("committed")]
    frames = [*turn, transcript("one"), *ANSWER, *turn, transcript("two")]

    assert said(*frames) == [("user", "one"), ("assistant", "a"), ("user", "two")]


@pytest.mark.parametrize(
    "frames",
    [
        # The transcript is final before the speech is committed.
        [speech("speech_started"), transcript("one"), speech("committed", **PLACED)],
        # The speech goes on, or is committed again, before its transcript.
        [speech("speech_started"), speech("speech_stopped"), speech("speech_started")],
        [speech("committed", **PLACED)] * 2,
    ],
)
def test_the_same_speech(frames: list[Frame]) -> None:
    """An event of speech without a final transcript, or a first commit, is no other."""
    session = fold(to_records(frames)).sessions["s"]

    assert list(session.items) == ["u"]


def test_transcripts_of_one_id_arrive_late() -> None:
    """A transcript is that of the first speech that has ended without one."""
    turn = [speech("speech_started"), speech("committed", **PLACED)]
    frames = [*turn, transcript("one"), *turn, *ANSWER, transcript("two")]

    assert said(*frames) == [("user", "one"), ("user", "two"), ("assistant", "a")]


def typed(text: str) -> Frame:
    """A typed message with the id ``u``."""
    content = [{"type": "input_text", "text": text}]
    item: Frame = {"id": "u", "type": "message", "role": "user", "content": content}
    return item_event("item.added", {**item, "status": "completed"})


def test_another_message_is_typed_under_one_id() -> None:
    """A message with another text is another item; one with the same text is a copy."""
    assert said(typed("one"), *ANSWER, typed("two")) == [
        ("user", "one"),
        ("assistant", "a"),
        ("user", "two"),
    ]
    assert said(typed("one"), *ANSWER, typed("one")) == [
        ("user", "one"),
        ("assistant", "a"),
    ]
    edited = [typed("one"), typed("two"), typed("one"), typed("two")]
    assert said(*edited) == [("user", "one"), ("user", "two")]


def test_a_copy_of_an_output_that_is_not_in_the_state() -> None:
    """A call and its output with one id, then a copy of the call: nothing raises."""
    made: Frame = {**call("a", "{}", "c"), "name": "f"}
    del made["status"]
    given = {"id": "c", "type": "function_call_output", "call_id": "a", "output": "42"}
    frames = [done("r"), done("r", made, given), item_event("item.done", made)]
    session = fold(to_records(frames)).sessions["s"]

    (item,) = session.items.values()
    assert item.call is not None
    assert (item.type, item.call.call_id, item.call.name) == ("function_call", "a", "f")


def test_all_ids_of_an_item() -> None:
    """The ids in the state that an id of the service has named besides itself."""
    again = [created(), delta("One."), done(), created("q"), delta("Two.", "i", "q")]
    session = fold(to_records(again)).sessions["s"]

    assert list(state_ids_of(session, "i")) == ["i~2"]
    assert list(state_ids_of(session, "q")) == []


def test_what_an_item_can_be() -> None:
    """A call is no other call and no message; an unknown item can be any of them."""
    frames = [created(), output(call("c", "{}")), output(reply("One.", "m"))]
    session = fold(to_records(frames)).sessions["s"]
    item = session.items["i"]

    assert can_be(session, None, Use(0))
    assert can_be(session, item, Use(0))
    assert not can_be(session, item, Use(0, "mcp_call"))
    assert not is_copy(item, Use(0, "message", text="{}"))
    assert has_text(item, Use(0, "function_call", call_id="c"))
    assert not has_text(item, Use(0, "function_call", call_id="d"))


def test_unknown_items_and_parts() -> None:
    """An item of an unknown type is known by its id; an unknown part has no text."""
    unknown: Frame = {"type": "a_new_type", "id": "n"}
    part: Frame = {**reply(""), "content": [{"type": "a_new_part", "text": "One."}]}
    frames = [created(), output(unknown), output(part), done("r", unknown, part)]

    assert responses_of(*frames) == [("r", ["n", "i"])]
