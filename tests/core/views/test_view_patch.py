"""Patches from view to view: correct, and small for small changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from msgspec.structs import replace

from duologue.core import Record, Session, Store, fold
from duologue.core.state.id_sequence import IdSequence
from duologue.core.state.model import (
    Activity,
    Call,
    CallLink,
    Connection,
    Conversation,
    DtmfKey,
    Item,
    McpCall,
    McpTool,
    Part,
    Placement,
    Problem,
    RateLimit,
    Response,
    Responses,
    Segment,
    SessionUsage,
    Translation,
    Truncation,
    Usage,
)
from duologue.core.state.rope import Rope
from duologue.core.testing.stream import Stream
from duologue.core.views.json_patch import apply
from duologue.core.views.view import view
from duologue.core.views.view_patch import Operation, patch

from ..strategies import enough, examples
from ..talk import Service, to_record, to_records
from .test_view import STREAMS, sessions

T = TypeVar("T")
#: Steps between two comparisons of whole pages.
STRIDE = 8


def exactly(value: Any) -> bytes:
    """The JSON of a value, where 1 differs from 1.0 and from true."""
    return msgspec.json.encode(value, order="deterministic")


def checked(before: Session, after: Session, *records: Record) -> list[Operation]:
    """The patch from one session to the other, checked with `apply`."""
    operations = patch(before, after, *records)
    page = view(before)

    assert exactly(view(after)) == exactly(apply(page, operations))
    assert exactly(page) == exactly(view(before))
    return operations


def size(operations: list[Operation]) -> int:
    return len(msgspec.json.encode(operations))


@examples(500)
@given(STREAMS)
def test_every_step_is_patched(stream: Stream) -> None:
    """The patched view equals the next view, with or without the record."""
    every = sessions(stream)
    page = view(every[0])
    for number, (before, record) in enumerate(zip(every, stream, strict=False)):
        after = every[number + 1]
        operations = patch(before, after)
        assert operations == patch(before, after, record), record.event
        # Comparing whole pages is slower than patching.
        if operations and number % STRIDE == 0:
            assert exactly(page) == exactly(view(before))
            assert exactly(apply(page, operations)) == exactly(view(after))
            assert exactly(page) == exactly(view(before))
        page = apply(page, operations)
    assert exactly(page) == exactly(view(every[-1]))


@enough
@given(STREAMS, st.integers(0, 999), st.integers(0, 999))
def test_distant_states_are_patched(stream: Stream, one: int, other: int) -> None:
    """Any two states of a stream can be patched, forwards and backwards."""
    every = sessions(stream)
    first, last = sorted((one % len(every), other % len(every)))
    before, after = every[first], every[last]

    assert checked(before, after) == patch(before, after, *stream[first:last])
    checked(after, before)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["Guten", " Tag", ""]))))
def test_a_translation_is_patched(pieces: list[tuple[bool, str]]) -> None:
    """The texts of a translation are patched too."""
    store = Store()
    created = {"type": "translation", "id": "sess_1"}
    store.feed("s", {"type": "session.created", "session": created}, at=1.0)
    before = store.session("s")
    assert before is not None
    for heard, delta in pieces:
        name = "input" if heard else "output"
        frame = {"type": f"session.{name}_transcript.delta", "delta": delta}
        record = store.feed("s", frame, at=2.0)
        after = store.session("s")
        assert after is not None
        assert checked(before, after) == patch(before, after, record)
        assert size(patch(before, after)) < 200
        before = after


@given(STREAMS)
def test_the_same_state_needs_no_patch(stream: Stream) -> None:
    """An equal state, or a change of `dedup` alone, gives an empty patch."""
    session = sessions(stream)[-1]
    counted = replace(session, dedup=replace(session.dedup, events=-1))

    assert patch(session, session) == []
    assert patch(session, counted) == []


class Own(Session, frozen=True):
    """A subclass of `Session`."""


@pytest.mark.parametrize("stranger", [None, {}])
def test_other_arguments_raise_type_error(stranger: Any) -> None:
    """An argument that is no session raises; a subclass is accepted."""
    for pair in ((Session("s"), stranger), (stranger, Session("s"))):
        with pytest.raises(TypeError, match="patch: the session must be Session"):
            patch(*pair)
    assert patch(Own("s"), Session("s")) == []


SEGMENT = Segment("seg", "A", 0.0, 1.5, "words")
WORDS = ("a", "b", "c/d", "e~f", "~1")
NAMES = ("i", "j", "k/~", "~0", "m", "n")
TEXTS = (
    Rope(""),
    Rope("a"),
    Rope("a").append("b"),
    Rope("a").append("c/d~1"),
    Rope("b"),
)
MCP = (
    None,
    McpCall("a"),
    McpCall("b", tools=(McpTool("t", "{}"),)),
    McpCall("e~f", tools=(McpTool("t", "{}"),)),
)
words, names = st.sampled_from(WORDS), st.sampled_from(NAMES)
grown = st.sampled_from(TEXTS)


def every_one(cls: type[T], **fields: Sequence[Any]) -> st.SearchStrategy[T]:
    """The objects with any of these field values, from one choice."""
    values = [
        cls(**dict(zip(fields, it, strict=True))) for it in product(*fields.values())
    ]
    return st.sampled_from(values)


parts = every_one(
    Part,
    type=("input_text", "output_audio"),
    text=TEXTS,
    final=(False, True),
    failure=(None, "a", "~1"),
    segments=((), (SEGMENT,), (SEGMENT, SEGMENT)),
)
calls = every_one(
    Call,
    call_id=(None, "i", "k/~"),
    name=("a", "c/d"),
    arguments=TEXTS,
    complete=(False, True),
    output=(None, "a", "~1"),
    mcp=MCP,
)
heads = every_one(
    Item,
    id=NAMES,
    role=(None, "user", "assistant"),
    status=("in_progress", "completed", "deleted"),
    placement=(Placement(), Placement(phase="a"), Placement(phase="c/d")),
    truncation=(None, Truncation(1), Truncation(5, "a"), Truncation(5, "b")),
)
items = st.builds(
    lambda head, parts, call: replace(head, parts=tuple(parts), call=call),
    heads,
    st.lists(parts, max_size=3),
    st.none() | calls,
)
replies = every_one(
    Response,
    id=NAMES,
    status=WORDS,
    item_ids=((), ("i",), ("i", "j"), ("j", "i"), ("k/~", "j", "n")),
    metadata=(Map(), Map({"i": "a"}), Map({"i": "b", "k/~": "a"}), Map({"k/~": "a"})),
)
problems = st.lists(every_one(Problem, kind=WORDS, message=WORDS), max_size=4).map(
    tuple
)
limits = st.lists(st.builds(RateLimit, words), max_size=2).map(tuple)
translations = st.builds(
    Translation,
    input=grown,
    output=grown,
    confirmed=st.sampled_from([None, "{}", '{"audio":{}}']),
)


SOME_ITEMS = st.lists(items, max_size=5, unique_by=lambda item: item.id)
SOME_REPLIES = st.lists(replies, max_size=4, unique_by=lambda reply: reply.id)
connections = every_one(
    Connection,
    epoch=(0, 1, 2),
    requested=(None, '{"a":[1],"b":true}', '{"b":1,"c/d":{}}', '{"b":1.0,"c/d":[]}'),
)
conversations = st.builds(
    Conversation,
    cleared_after=st.none() | names,
    id=st.none() | words,
    gaps=st.lists(names, max_size=2).map(tuple),
    translation=st.none() | translations,
)
activities = every_one(
    Activity, muted=(False, True), playing=NAMES, dtmf_keys=((), (DtmfKey("1", 2),))
)
usages = st.builds(
    SessionUsage, st.builds(Usage, total=st.integers(0, 1)), rate_limits=limits
)


@st.composite
def anything(draw: st.DrawFn) -> Session:
    """A session that no stream needs to produce."""
    made, answers = draw(SOME_ITEMS), draw(SOME_REPLIES)
    order = draw(st.permutations([item.id for item in made]))
    shown = IdSequence(order[: draw(st.integers(0, len(order)))])
    return Session(
        draw(words),
        connection=draw(connections),
        items=Map({item.id: item for item in made}),
        conversation=replace(draw(conversations), order=shown),
        responses=Responses(
            Map({reply.id: reply for reply in answers}),
            IdSequence(draw(st.permutations([reply.id for reply in answers]))),
            draw(st.none() | names),
        ),
        activity=draw(activities),
        usage=draw(usages),
        problems=draw(problems),
    )


@enough
@given(anything(), anything())
def test_any_two_sessions_are_patched(one: Session, other: Session) -> None:
    """Any two sessions can be patched, even if no stream produces them."""
    checked(one, other)
    assert checked(one, one) == []


@enough
@given(st.permutations(range(8)), st.permutations(range(8)), st.data())
def test_any_order_becomes_any_other(
    one: list[int], other: list[int], data: st.DataObject
) -> None:
    """Any order can be patched; only an append may be longer than the new order."""
    cuts = st.integers(0, 8)
    old = [f"item_{n}" for n in one[: data.draw(cuts)]]
    new = [f"item_{n}" for n in other[: data.draw(cuts)]]
    every = {key: Item(key) for key in {*old, *new}}
    before, after = standing(old, every), standing(new, every)
    whole = [{"op": "replace", "path": "/order", "value": new}]

    assert size(checked(before, after)) <= size(whole) or old == new[: len(old)]


def standing(order: list[str], every: dict[str, Item]) -> Session:
    return Session("s", items=Map(every), conversation=Conversation(IdSequence(order)))


def delta(items: int, deltas: int) -> tuple[Session, Session, Record]:
    """The last of many deltas of a reply, in a conversation of many items."""
    service = Service()
    for _ in range(items // 2):
        service.typed("Hello there")
        service.reply("Good", " day", spoken=False)
    service.say(service.begin(), ["word "] * deltas, spoken=False)
    records = to_records(service.frames)
    state = fold(records[:-1])
    return state.sessions["s"], fold(records[-1:], state).sessions["s"], records[-1]


SIZES = [(10, 10), (5_000, 10), (10, 5_000)]


def steps_of(before: Session, after: Session, record: Record) -> int:
    """The number of Python lines that a patch runs: work, not time."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        patch(before, after, record)
    finally:
        sys.settrace(tracing)
    return count


def test_a_delta_is_small_and_flat() -> None:
    """A delta is one operation below 200 bytes, with the same work for any length."""
    work: set[int] = set()
    for items, deltas in SIZES:
        before, after, record = delta(items, deltas)
        item_id = before.conversation.order.last
        operations = checked(before, after, record)

        assert operations == [
            {
                "op": "add",
                "path": f"/items/{item_id}/parts/0/chunks/-",
                "value": "word ",
            }
        ]
        assert operations == patch(before, after)
        assert size(operations) < 200
        work.add(steps_of(before, after, record))

    assert len(work) == 1


PART = Part("output_text", Rope("Good"))
GROWN = replace(PART, text=PART.text.append(" day"))
ITEM = Item("i", role="assistant", parts=(PART,))
BESIDE: list[tuple[str, Any]] = [
    ("connection", Connection(epoch=1)),
    ("conversation", Conversation(IdSequence(["i"]), gaps=("i",))),
    ("responses", Responses(active="r")),
    ("activity", Activity(muted=True)),
    ("usage", SessionUsage(Usage(total=1))),
    ("problems", (Problem("error", "oh"),)),
]


def at_once(item: Item, **nodes: Any) -> tuple[Session, Session, Record]:
    """A text delta that made the item this one, with changes of other nodes."""
    before = standing(["i"], {"i": ITEM})
    dedup = replace(before.dedup, events=1)
    after = replace(before, items=Map({"i": item}), dedup=dedup, **nodes)
    return before, after, to_record({"type": DELTA, "item_id": "i", "delta": " day"})


DELTA = "conversation.item.input_audio_transcription.delta"


@pytest.mark.parametrize(("node", "value"), BESIDE)
def test_a_delta_and_another_node(node: str, value: Any) -> None:
    """The patch of a delta includes other changes of the session."""
    before, after, record = at_once(replace(ITEM, parts=(GROWN,)), **{node: value})

    assert len(checked(before, after, record)) == 2
    assert checked(before, after) == patch(before, after, record)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "tale"},
        {"role": "user"},
        {"status": "completed"},
        {"placement": Placement(phase="commentary")},
        {"truncation": Truncation(5)},
        {"call": Call("c")},
        {"parts": (GROWN, PART)},
        {"parts": (replace(GROWN, type="output_audio"),)},
        {"parts": (replace(GROWN, final=True),)},
        {"parts": (replace(GROWN, failure="mute"),)},
        {"parts": (replace(GROWN, segments=(SEGMENT,)),)},
    ],
)
def test_a_delta_and_another_field(change: dict[str, Any]) -> None:
    """The patch of a delta includes other changes of the item."""
    item = replace(ITEM, **{"parts": (GROWN,), **change})
    before, after, record = at_once(item)

    assert len(checked(before, after, record)) > 1
    assert checked(before, after) == patch(before, after, record)


def test_a_delta_of_what_had_more_parts() -> None:
    """The patch of a delta removes missing parts."""
    before, after, record = at_once(replace(ITEM, parts=(GROWN,)))
    before = replace(before, items=Map({"i": replace(ITEM, parts=(PART, PART))}))

    assert [step["op"] for step in checked(before, after, record)] == [
        "remove",
        "add",
    ]


@pytest.mark.parametrize("stranger", ["another session", "of another time"])
def test_a_delta_that_does_not_explain_it(stranger: str) -> None:
    """If the record does not explain all changes, every item is compared."""
    every = {"i": ITEM, "j": replace(ITEM, id="j")}
    before = standing(["i", "j"], every)
    grown = {key: replace(item, parts=(GROWN,)) for key, item in every.items()}
    strange = stranger == "another session"
    dedup = replace(before.dedup, events=1 if strange else 2)
    after = replace(before, items=Map(grown), dedup=dedup)
    frame = {"type": DELTA, "item_id": "i", "delta": " day"}
    record = to_record(frame, session="other" if strange else "s")

    assert [step["path"] for step in checked(before, after, record)] == [
        "/items/i/parts/0/chunks/-",
        "/items/j/parts/0/chunks/-",
    ]


def test_audio_is_no_operation() -> None:
    """The number of audio bytes is not in a view."""
    louder = replace(PART, audio_bytes=480)
    before, after, record = at_once(replace(ITEM, parts=(louder,)))

    assert checked(before, after, record) == checked(before, after) == []


class Counted:
    """A map that returns single values only, and counts the lookups."""

    def __init__(self, of: Any) -> None:
        self.of = of
        self.looked = 0

    def get(self, key: Any) -> Any:
        self.looked += 1
        return self.of.get(key)

    def __contains__(self, key: object) -> bool:
        self.looked += 1
        return key in self.of

    def __len__(self) -> int:
        return len(self.of)

    def __iter__(self) -> Any:
        raise AssertionError("searched whole")

    items = keys = values = __iter__


def counted(session: Session, maps: dict[int, Any]) -> Session:
    """The session with such maps; equal maps become the same object."""
    items, by_id = (
        maps.setdefault(id(of), Counted(of))
        for of in (session.items, session.responses.by_id)
    )
    responses = replace(session.responses, by_id=by_id)
    return replace(session, items=items, responses=responses)


def looks(items: int) -> list[int]:
    """The number of lookups, for each record of a turn and for all records so far."""
    service = Service()
    for _ in range(items // 2):
        service.typed("Hello there")
        service.reply("Good", " day")
    mark = len(service.frames)
    play(service)
    records = to_records(service.frames)
    turn = records[mark:]
    states = [fold(records[:mark])]
    for record in turn:
        states.append(fold([record], states[-1]))
    counts: list[int] = []
    for at in range(len(turn)):
        for first in {0, at}:
            maps: dict[int, Any] = {}
            before = counted(states[first].sessions["s"], maps)
            after = counted(states[at + 1].sessions["s"], maps)
            patch(before, after, *turn[first : at + 1])
            counts.append(sum(looked.looked for looked in maps.values()))
    return counts


def play(service: Service) -> None:
    """A turn with the usual events, and an interruption."""
    service.typed("Question")
    service.spoken("Spoken", " question")
    response = service.begin()
    said = service.say(response, ("An", " answer"))
    service.send("output_audio_buffer.started", response_id=response)
    service.start_speech()
    service.send("output_audio_buffer.cleared", response_id=response)
    at = {"item_id": said["item_id"], "content_index": 0}
    service.send("conversation.item.truncated", **at, audio_end_ms=3)
    service.end(response, [service.finish(said, "incomplete")], "cancelled")


def test_no_map_is_searched_if_the_records_explain_it() -> None:
    """The number of lookups does not depend on the length of the conversation."""
    assert looks(4) == looks(100)


@pytest.mark.parametrize("stranger", ["too many", "another session", "names nothing"])
def test_records_that_do_not_explain_it(stranger: str) -> None:
    """If the records do not explain the change, the whole map is compared."""
    service = Service()
    first, second = service.typed("one"), service.typed("two")
    state = fold(to_records(service.frames))
    service.frames.clear()
    service.send("conversation.item.deleted", item_id=first)
    service.send("conversation.item.deleted", item_id=second)
    records = to_records(service.frames)
    before, after = state.sessions["s"], fold(records, state).sessions["s"]
    told = {
        "too many": [*records, *records],
        "another session": to_records(service.frames, session="other"),
        "names nothing": [to_record({"type": "response.dreamt"}) for _ in records],
    }[stranger]

    assert patch(before, after, *told) == checked(before, after, *records)


def test_records_of_something_else_do_not_explain_it() -> None:
    """If the named items did not change, the whole map is compared."""
    before = standing(["i"], {"i": Item("i")})
    after = standing(["i"], {"i": Item("i", status="completed")})
    after = replace(after, dedup=replace(after.dedup, events=1))
    record = to_record({"type": "conversation.item.deleted", "item_id": "j"})

    assert checked(before, after, record) == [
        {"op": "replace", "path": "/items/i/status", "value": "completed"}
    ]


def test_records_of_something_do_not_explain_more() -> None:
    """If there are further new items, the whole map is compared."""
    before = standing(["i"], {"i": Item("i")})
    after = standing(["i"], {"i": Item("i", status="completed"), "j": Item("j")})
    after = replace(after, dedup=replace(after.dedup, events=1))
    record = to_record(
        {"type": "conversation.item.done", "item": {"type": "message", "id": "i"}}
    )

    assert [step["path"] for step in checked(before, after, record)] == [
        "/items/i/status",
        "/items/j",
    ]


def test_a_new_item() -> None:
    """A new item is added, and its id at the end of the order."""
    service = Service()
    service.typed("one")
    state = fold(to_records(service.frames))
    service.frames.clear()
    item_id = service.typed("two")
    sent, record, *_ = to_records(service.frames)
    state = fold([sent], state)
    before, after = state.sessions["s"], fold([record], state).sessions["s"]

    assert checked(before, after, record) == [
        {
            "op": "add",
            "path": f"/items/{item_id}",
            "value": view(after)["items"][item_id],
        },
        {"op": "add", "path": "/order/-", "value": item_id},
    ]


def test_orders_grow_by_chunks() -> None:
    """An append to the order is one operation, at any length."""
    order, every = IdSequence(), {f"i{n}": Item(f"i{n}") for n in range(600)}
    before = replace(standing([], every), conversation=Conversation(order))
    for key in every:
        order = order.append(key)
        after = replace(before, conversation=Conversation(order))
        assert patch(before, after) == [{"op": "add", "path": "/order/-", "value": key}]
        before = after


def test_orders_change_far_from_their_end() -> None:
    """A move far from the end is found, together with an append."""
    every = {f"i{n}": Item(f"i{n}") for n in range(600)}
    first, second, *rest = every
    last = rest.pop()
    before = standing([first, second, *rest], every)
    after = standing([second, first, *rest, last], every)

    assert checked(before, after) == [
        {"op": "remove", "path": "/order/0"},
        {"op": "add", "path": "/order/1", "value": first},
        {"op": "add", "path": "/order/-", "value": last},
    ]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("abcdefgh", []),
        ("abcdefghx", [("add", "/order/-")]),
        ("xabcdefgh", [("add", "/order/0")]),
        ("abcefgh", [("remove", "/order/3")]),
        ("bcdefgha", [("remove", "/order/0"), ("add", "/order/-")]),
        ("habcdefg", [("remove", "/order/7"), ("add", "/order/0")]),
        (
            "xacdefhg",
            [
                ("remove", "/order/6"),
                ("remove", "/order/1"),
                ("add", "/order/0"),
                ("add", "/order/-"),
            ],
        ),
        ("", [("replace", "/order")]),
        ("hgfedcba", [("replace", "/order")]),
    ],
)
def test_an_order_changes_by_what_moved(
    new: str, expected: list[tuple[str, str]]
) -> None:
    """Only moved ids have operations."""
    long = "an_item_with_a_name_as_long_as_those_that_the_service_gives_"
    every = {f"{long}{key}": Item(f"{long}{key}") for key in "abcdefghx"}
    before = standing([f"{long}{key}" for key in "abcdefgh"], every)
    after = standing([f"{long}{key}" for key in new], every)

    assert [(step["op"], step["path"]) for step in checked(before, after)] == expected


def test_a_deleted_item_leaves() -> None:
    """A deleted item leaves the items and the order."""
    every = {key: Item(key) for key in ("one", "two", "three")}
    before = standing(["one", "two", "three"], every)
    every["two"] = Item("two", status="deleted")
    after = standing(["one", "two", "three"], every)

    assert checked(before, after) == [
        {"op": "remove", "path": "/items/two"},
        {"op": "remove", "path": "/order/1"},
    ]


def test_cleared_transcripts() -> None:
    """Clearing empties the order and keeps the items."""
    every = {key: Item(key) for key in "abc"}
    before = standing(["a", "b", "c"], every)
    conversation = replace(before.conversation, cleared_after="c")
    after = replace(before, conversation=conversation)

    assert checked(before, after) == [{"op": "replace", "path": "/order", "value": []}]


def test_a_marker_that_comes_later() -> None:
    """If the last cleared item enters the order, all items before it are hidden."""
    every = {key: Item(key) for key in "abc"}
    before = standing(["a", "b"], every)
    cleared = replace(before.conversation, cleared_after="c")
    before = replace(before, conversation=cleared)
    joined = replace(cleared, order=cleared.order.append("c"))

    assert checked(before, replace(before, conversation=joined)) == [
        {"op": "replace", "path": "/order", "value": []}
    ]


def test_final_text_replaces_its_chunks() -> None:
    """A final text replaces the chunks only if it differs from them."""
    one = Rope("Good").append(" day")
    grown = said(Part("output_text", one))

    assert checked(grown, said(Part("output_text", Rope("Good day."), True))) == [
        {"op": "replace", "path": "/items/i/parts/0/chunks", "value": ["Good day."]},
        {"op": "replace", "path": "/items/i/parts/0/final", "value": True},
    ]
    assert checked(grown, said(Part("output_text", one, True, 480))) == [
        {"op": "replace", "path": "/items/i/parts/0/final", "value": True}
    ]


def said(*parts: Part) -> Session:
    return standing(["i"], {"i": Item("i", parts=parts)})


def test_many_chunks_at_once() -> None:
    """Chunks are appended if that is shorter than the whole text."""
    long = Rope("many words that were said before, and are not said again " * 4)
    short = Rope("a")
    for text, first in ((long, "add"), (short, "replace")):
        later = text.append("b").append("c")
        operations = checked(said(Part("x", text)), said(Part("x", later)))
        assert {step["op"] for step in operations} == {first}


def test_parts_come_and_go() -> None:
    """Parts are added and removed at the end."""
    one, two = Part("output_text", Rope("one")), Part("output_audio", failure="mute")

    assert checked(said(one), said(one, two)) == [
        {
            "op": "add",
            "path": "/items/i/parts/-",
            "value": {
                "type": "output_audio",
                "final": False,
                "failure": "mute",
                "chunks": [],
            },
        }
    ]
    assert checked(said(one, two), said()) == [
        {"op": "remove", "path": "/items/i/parts/1"},
        {"op": "remove", "path": "/items/i/parts/0"},
    ]
    assert checked(said(two), said(replace(two, failure=None))) == [
        {"op": "remove", "path": "/items/i/parts/0/failure"}
    ]


def test_arguments_grow_like_text() -> None:
    """A delta of arguments is one operation."""
    call = Call("c", "look", Rope('{"a"'))
    before = standing(["i"], {"i": Item("i", "function_call", call=call)})
    longer = replace(call, arguments=call.arguments.append(":1}"))
    after = standing(["i"], {"i": Item("i", "function_call", call=longer)})

    assert checked(before, after) == [
        {"op": "add", "path": "/items/i/call/arguments/-", "value": ":1}"}
    ]
    bare = standing(["i"], {"i": Item("i", "function_call")})
    assert checked(before, bare) == [
        {"op": "replace", "path": "/items/i/call", "value": None}
    ]
    assert [step["path"] for step in checked(bare, before)] == ["/items/i/call"]


def test_ids_are_escaped() -> None:
    """Tilde and slash in an id are escaped in the path."""
    service = Service("a/b~c_")
    said = service.say(service.begin(), ("x", "y"), spoken=False)
    *records, last = to_records(service.frames)
    state = fold(records)
    before, after = state.sessions["s"], fold([last], state).sessions["s"]
    escaped = said["item_id"].replace("~", "~0").replace("/", "~1")

    assert checked(before, after, last) == [
        {"op": "add", "path": f"/items/{escaped}/parts/0/chunks/-", "value": "y"}
    ]


def test_small_nodes_change_by_the_field_or_whole() -> None:
    """A small node is replaced by field or as a whole, the shorter of both."""
    before = Session("s")
    one = replace(before, activity=Activity(muted=True))
    every = Activity("i", playing="r", muted=True, volume=0.5)
    usage = replace(before, usage=SessionUsage(Usage(input_text=7, total=9)))

    assert checked(before, one) == [
        {"op": "replace", "path": "/activity/muted", "value": True}
    ]
    assert [
        step["path"] for step in checked(before, replace(before, activity=every))
    ] == ["/activity"]
    assert [step["path"] for step in checked(before, usage)] == [
        "/usage/input_text",
        "/usage/total",
    ]


def test_a_configuration_changes_by_the_field() -> None:
    """A configuration is replaced by field, at any depth."""
    audio = {"input": {"turn_detection": None}, "output": {"voice": "ash", "speed": 1}}
    before = asked({"audio": audio, "instructions": "Be brief. " * 20})
    louder = {**audio, "output": {"voice": "ash", "speed": 1.0}}
    after = asked({"audio": louder, "instructions": "Be brief. " * 20})

    assert exactly(checked(before, after)) == exactly(
        [{"op": "replace", "path": "/requested/audio/output/speed", "value": 1.0}]
    )


def asked(config: Any) -> Session:
    requested = msgspec.json.encode(config, order="sorted").decode()
    return Session("s", connection=Connection(requested=requested))


def test_problems_slide() -> None:
    """A new problem is appended, and the oldest above the limit is removed."""
    every = [Problem("error", f"number {n}") for n in range(6)]
    before, after = (
        Session("s", problems=tuple(kept)) for kept in (every[:5], every[1:])
    )
    last = view(after)["problems"][-1]

    assert checked(before, after) == [
        {"op": "remove", "path": "/problems/0"},
        {"op": "add", "path": "/problems/-", "value": last},
    ]


def test_a_translation_grows_by_its_chunks() -> None:
    """The texts of a translation grow by chunks."""
    begun = Translation(Rope("Gu"), Rope("Go"), confirmed="{}")
    more = replace(begun, output=begun.output.append("od"), output_ms=100)

    assert checked(translating(begun), translating(more)) == [
        {"op": "add", "path": "/translation/output/chunks/-", "value": "od"}
    ]
    assert checked(translating(more), translating(replace(more, closed=True))) == [
        {"op": "replace", "path": "/translation/closed", "value": True}
    ]
    assert [step["path"] for step in checked(Session("s"), translating(begun))] == [
        "/translation"
    ]


def translating(translation: Translation) -> Session:
    return Session("s", conversation=Conversation(translation=translation))


def test_lists_grow_at_their_end() -> None:
    """Segments, gaps and keys are appended to their lists."""
    part = Part("input_audio", Rope("words"), True)
    spoken = replace(part, segments=(SEGMENT,))
    gap = Session("s", conversation=Conversation(gaps=("",)))
    key = Session("s", activity=Activity(dtmf_keys=(DtmfKey("1", 2),)))

    assert [step["path"] for step in checked(said(part), said(spoken))] == [
        "/items/i/parts/0/segments"
    ]
    assert checked(Session("s"), gap) == [{"op": "add", "path": "/gaps/-", "value": ""}]
    assert [step["path"] for step in checked(Session("s"), key)] == ["/activity/keys/-"]


def test_an_answer_reaches_its_call() -> None:
    """The call of an output and the request of an approval are found directly."""
    asks = Item("asks", "mcp_approval_request", call=Call(mcp=McpCall("desk")))
    calls = Item("calls", "function_call", call=Call("c", running=True))
    every = {"asks": asks, "calls": calls}
    before = linked(every, 0)
    every["calls"] = Item("calls", "function_call", call=Call("c"))
    every["gives"] = Item("gives", "function_call_output", call=Call("c", output="x"))
    after = linked(every, 1)
    record = to_record(
        {
            "type": "conversation.item.done",
            "item": {
                "type": "function_call_output",
                "id": "gives",
                "call_id": "c",
                "output": "x",
            },
        }
    )

    assert patch(before, after, record) == checked(before, after)
    assert {step["path"] for step in checked(before, after)} == {
        "/items/calls/call/running",
        "/items/gives",
        "/order/-",
    }
    maps: dict[int, Any] = {}
    assert patch(counted(before, maps), counted(after, maps), record)

    answer = Call(mcp=McpCall("desk", "asks", True))
    every["says"] = Item("says", "mcp_approval_response", call=answer)
    every["asks"] = Item(
        "asks", "mcp_approval_request", call=Call(mcp=McpCall("desk", None, True))
    )
    last = linked(every, 2)
    record = to_record(
        {
            "type": "conversation.item.done",
            "item": {
                "type": "mcp_approval_response",
                "id": "says",
                "approval_request_id": "asks",
                "approve": True,
            },
        }
    )

    assert patch(after, last, record) == checked(after, last)
    maps = {}
    assert patch(counted(after, maps), counted(last, maps), record)


FEW = ("a", "b", "c")
#: Items of calls with few ids, so that they refer to each other.
CALLED: list[Any] = [
    {"id": item_id, "type": type, key: name, **more}
    for item_id, name in product(FEW, FEW)
    for type, key, more in (
        ("function_call", "call_id", {"name": "f", "arguments": "{}"}),
        ("function_call_output", "call_id", {"output": "42"}),
        ("mcp_approval_request", "server_label", {"name": "f", "arguments": "{}"}),
        ("mcp_approval_response", "approval_request_id", {"approve": True}),
        ("mcp_call", "approval_request_id", {"name": "f", "output": "42"}),
    )
]


def done(response_id: str, output: list[Any]) -> Any:
    response = {"id": response_id, "status": "completed", "output": output}
    return {"type": "response.done", "response": response}


def item_done(response_id: str, item: Any) -> Any:
    kind = "response.output_item.done"
    return {"type": kind, "response_id": response_id, "item": item}


called = st.sampled_from(CALLED)
of_calls = st.one_of(
    st.builds(done, st.sampled_from(FEW), st.lists(called, max_size=3)),
    st.builds(item_done, st.sampled_from(FEW), called),
    called.map(lambda item: {"type": "conversation.item.done", "item": item}),
)


@examples(300)
@given(st.lists(of_calls, min_size=2, max_size=6))
def test_every_change_of_a_call_is_found(frames: list[Any]) -> None:
    """The answered call is in the patch, for any event with the answer."""
    stream = to_records(frames)
    for (before, after), record in zip(pairwise(sessions(stream)), stream, strict=True):
        assert patch(before, after, record) == patch(before, after)


@pytest.mark.parametrize(
    ("asked", "answer", "path"),
    [
        (
            {"id": "f", "type": "function_call", "call_id": "c", "name": "look"},
            {"id": "o", "type": "function_call_output", "call_id": "c", "output": "4"},
            "/items/f/call/output",
        ),
        (
            {"id": "f", "type": "mcp_approval_request", "server_label": "desk"},
            {
                **{"id": "o", "type": "mcp_approval_response"},
                **{"approval_request_id": "f", "approve": True},
            },
            "/items/f/call/mcp/approve",
        ),
    ],
)
def test_an_answer_that_a_response_shows_at_its_end(
    asked: Any, answer: Any, path: str
) -> None:
    """A call of another response is found directly."""
    stream = to_records([item_done("r", asked), done("q", [answer])])
    before = fold(stream[:1]).sessions["s"]
    after = fold(stream).sessions["s"]

    assert path in [step["path"] for step in checked(before, after, stream[1])]
    assert patch(before, after) == patch(before, after, stream[1])
    maps: dict[int, Any] = {}
    assert patch(counted(before, maps), counted(after, maps), stream[1])


def linked(every: dict[str, Item], events: int) -> Session:
    session = standing(list(every), every)
    links = Map({"c": CallLink("calls", "gives")})
    conversation = replace(session.conversation, calls=links)
    dedup = replace(session.dedup, events=events)
    return replace(session, conversation=conversation, dedup=dedup)


def test_responses_come_change_and_go() -> None:
    """Responses change by field, and their order like that of items."""
    one, two = Response("r"), Response("q", metadata=Map({"long": "x" * 300}))
    begun = replace(two, item_ids=("i",), status="completed")
    before = answering(one)
    both, done = answering(one, two), answering(one, begun)

    assert [(step["op"], step["path"]) for step in checked(before, both)] == [
        ("add", "/responses/q"),
        ("add", "/response_order/-"),
        ("replace", "/active"),
    ]
    assert checked(both, done) == [
        {"op": "replace", "path": "/responses/q/status", "value": "completed"},
        {"op": "add", "path": "/responses/q/item_ids/-", "value": "i"},
    ]
    assert [(step["op"], step["path"]) for step in checked(both, answering(two))] == [
        ("remove", "/responses/r"),
        ("remove", "/response_order/0"),
    ]


def answering(*responses: Response) -> Session:
    by_id = Map({response.id: response for response in responses})
    order = IdSequence(response.id for response in responses)
    return Session("s", responses=Responses(by_id, order, responses[-1].id))
