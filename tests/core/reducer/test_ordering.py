"""The order of items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import Record, Session, events, fold, reduce, select_transcripts
from duologue.core.state.id_sequence import IdSequence
from duologue.core.testing import Script
from duologue.core.testing import to_records as to_stream

from ..strategies import enough, scripts
from ..talk import Frame, Service, fold_frames, message, to_record


def added(item_id: str, previous: Any = ..., type: str = "added") -> Frame:
    frame = {
        "type": f"conversation.item.{type}",
        "item": message(item_id, "user", [{"type": "input_text", "text": item_id}]),
    }
    return frame if previous is ... else {**frame, "previous_item_id": previous}


def started(item_id: str) -> Frame:
    return {
        "type": "input_audio_buffer.speech_started",
        "item_id": item_id,
        "audio_start_ms": 0,
    }


def committed(item_id: str, previous: str | None) -> Frame:
    return {
        "type": "input_audio_buffer.committed",
        "item_id": item_id,
        "previous_item_id": previous,
    }


def order(*frames: Frame) -> str:
    """The order of items whose ids are one letter."""
    return "".join(fold_frames(*frames).conversation.order)


CHAIN = [added("a", None), added("b", "a"), added("c", "b"), added("d", "c")]


@given(st.permutations(CHAIN))
def test_a_chain_in_any_order(frames: list[Frame]) -> None:
    """An item whose predecessor is unknown moves behind it once that arrives."""
    assert order(*frames) == "abcd"


@given(st.permutations(range(40)))
def test_a_long_chain_in_any_order(numbers: list[int]) -> None:
    """A long chain in any order of arrival leaves no orphans."""
    frames = [added(str(n), str(n - 1) if n else None) for n in numbers]
    session = fold_frames(*frames)

    assert [str(n) for n in range(40)] == list(session.conversation.order)
    assert len(session.conversation.orphans) == 0


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([added("a"), added("b")], "ab"),
        ([added("a", None), added("b", None)], "ab"),
        ([added("a", None), started("u"), committed("u", None)], "au"),
        (
            [
                *(added("a", None), started("u"), committed("u", None)),
                *(added("b", None), added("c", None)),
            ],
            "aubc",
        ),
        ([added("a", None), added("b", "a"), added("c", "a")], "acb"),
        ([added("b", "a"), added("c", "a"), added("a", None)], "acb"),
        ([added("a", "x"), added("b", "a"), added("c", "b"), added("x")], "xabc"),
        ([added("a", "x"), added("b")], "ab"),
        ([added("a", "x"), added("a", "x"), added("b"), added("x")], "xab"),
        ([started("u"), added("a")], "ua"),
        ([added("a", None), started("u"), committed("u", "a")], "au"),
        ([started("u"), added("a", None), committed("u", "a")], "au"),
        ([started("u"), added("a", "u"), committed("u", None)], "ua"),
        ([started("u"), started("v"), added("a", "u"), committed("v", "a")], "uav"),
    ],
)
def test_where_an_item_stands(frames: list[Frame], expected: str) -> None:
    """An item follows its predecessor; until that is known, it is at the end."""
    assert expected == order(*frames)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([added("a", "a")], "a"),
        ([added("a", "b"), added("b", "a")], "ba"),
        ([added("a", "b"), added("b", "c"), added("c", "a")], "cba"),
        ([added("x"), added("a", "b"), added("b", "c"), added("c", "a")], "xcba"),
    ],
)
def test_circles(frames: list[Frame], expected: str) -> None:
    """Items in a cycle of predecessors are each listed once."""
    assert expected == order(*frames)


def test_the_first_word_counts() -> None:
    """A later ``added`` does not move a placed item."""
    frames = [*CHAIN, added("d", None), added("a", "d"), committed("b", "d")]

    assert order(*frames) == "abcd"


@pytest.mark.parametrize("previous", [None, "a", "d", ...])
def test_done_never_moves(previous: Any) -> None:
    """The predecessor in ``done`` is ignored: for output of the model it is null."""
    assert order(*CHAIN, added("b", previous, type="done")) == "abcd"


def test_deleted_items_keep_their_place() -> None:
    """A deleted item keeps its place, and later events do not restore it."""
    deleted = {"type": "conversation.item.deleted", "item_id": "b"}
    frames = [*CHAIN, deleted, added("e", "b"), added("b", "a"), committed("b", None)]
    session = fold_frames(*frames)

    assert "".join(session.conversation.order) == "abecd"
    assert (session.items["b"].status, session.items["b"].parts) == ("deleted", ())


def test_a_tombstone_before_its_item() -> None:
    """An item that was deleted before it was added stays deleted."""
    deleted = {"type": "conversation.item.deleted", "item_id": "b"}
    session = fold_frames(added("a", None), deleted, added("b", "a"), added("c", "b"))

    assert "".join(session.conversation.order) == "abc"
    assert session.items["b"].status == "deleted"


def test_a_new_epoch_stands_behind_the_old() -> None:
    """Items of a new connection follow all earlier ones."""
    session = fold(
        [
            to_record({"type": "duologue.connecting"}, 1),
            *(to_record(frame, n) for n, frame in enumerate(CHAIN)),
            to_record({"type": "duologue.connecting"}, 9, epoch=1),
            to_record(added("e", None), 10, epoch=1),
            to_record(added("f", "e"), 11, epoch=1),
        ]
    ).sessions["s"]

    assert "".join(session.conversation.order) == "abcdef"


def test_out_of_band_output_stands_beside() -> None:
    """Out-of-band items exist but are not in the order."""
    service = Service()
    item_id = service.reply("aside", in_band=False)
    session = fold_frames(*service.frames)

    assert list(session.conversation.order) == []
    assert str(session.items[item_id].parts[0].text) == "aside"


def test_out_of_band_that_is_told_late_is_withdrawn() -> None:
    """An item leaves the order if its response turns out to be out of band."""
    service = Service()
    service.typed("hello")
    item_id = service.reply("aside", in_band=False)
    frames = [f for f in service.frames if f["type"] != "response.created"]
    session = fold_frames(*frames)

    assert item_id in session.items
    assert item_id not in session.conversation.order


def test_out_of_band_that_is_added_after_all() -> None:
    """``added`` puts an item into the order even if its response is out of band."""
    service = Service()
    item_id = service.reply("aside", in_band=False)
    item = message(item_id, "assistant", [])
    service.send("conversation.item.added", item=item, previous_item_id=None)
    service.send("conversation.item.added", item=item, previous_item_id=None)

    assert [item_id] == list(fold_frames(*service.frames).conversation.order)


@pytest.mark.parametrize(
    ("frames", "expected", "moved"),
    [
        ([added("a"), started("b")], "ab", False),
        ([started("b"), added("a")], "ab", True),
    ],
)
def test_behind_what_stands_beside_the_conversation(
    frames: list[Frame], expected: str, moved: bool
) -> None:
    """An item behind an out-of-band one goes to the end, or stays there."""
    service = Service()
    aside = service.reply("aside", in_band=False)
    before = fold_frames(*service.frames, *frames)
    after = fold_frames(*service.frames, *frames, added("b", aside))
    records = [to_record(frame) for frame in (*service.frames, *frames)]
    state = fold(records)
    last = reduce(state, to_record(added("b", aside)))

    assert "".join(after.conversation.order) == expected
    was, now = (s.sessions["s"].conversation.order for s in (state, last))
    assert moved == (was is not now)
    assert before.conversation.order == was


def test_a_reversed_chain_of_ten_thousand() -> None:
    """A reversed chain needs neither recursion nor quadratic time."""
    count = 10_000
    frames = [added(str(n), str(n - 1) if n else None) for n in range(count)]
    records = [to_record(frame) for frame in reversed(frames)]
    began = time.process_time()
    session = fold(records).sessions["s"]
    took = time.process_time() - began

    assert [str(n) for n in range(count)] == list(session.conversation.order)
    assert took < 10


def test_placing_does_not_search_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A usual ``added`` does not search the order for its item."""

    def search(self: object, item_id: object) -> bool:
        raise AssertionError("searched")

    monkeypatch.setattr(IdSequence, "__contains__", search)

    assert order(*CHAIN) == "abcd"


def test_mentions_of_nothing() -> None:
    """An item without an id is ignored."""
    frame = {"type": "conversation.item.added", "item": {"type": "message"}}
    session = fold_frames(frame, {**frame, "type": "conversation.item.done"})

    assert len(session.items) == 0
    assert events.ConversationItemAdded(item=events.MessageItem(content=())) == (
        to_record(frame).event
    )
    assert isinstance(session, Session)


# --- Services without predecessors -----------------------------------------------


def reply_to_nobody(item_id: str, status: str | None = "completed") -> list[Frame]:
    """A reply of a service that sends no ``added`` for it."""
    response = {"id": f"r{item_id}", "conversation_id": "c"}
    at = {"response_id": f"r{item_id}", "item_id": item_id}
    frames: list[Frame] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_text.delta", **at, "delta": "x"},
    ]
    if status is not None:
        done = {**response, "status": status}
        frames.append({"type": "response.done", "response": done})
    return frames


@pytest.mark.parametrize("heard", [committed, added])
def test_where_nobody_is_named_the_order_of_arrival_stays(
    heard: Callable[[str, None], Frame],
) -> None:
    """If every predecessor is null, null does not mean the front."""
    frames: list[Frame] = []
    for user, answer in ("ab", "cd", "ef"):
        frames += [heard(user, None), *reply_to_nobody(answer)]

    assert order(*frames) == "abcdef"


def null_named(item_id: str, role: str = "user") -> Frame:
    """An ``added`` with a null predecessor, of an item with audio."""
    part = "input_audio" if role == "user" else "output_audio"
    item = message(item_id, role, [{"type": part, "transcript": item_id}])
    return {**added(item_id, None), "item": item}


@pytest.mark.parametrize("end", ["completed", None])
@pytest.mark.parametrize("previous", [None, "", ...])
def test_typed_items_of_a_service_without_predecessors(
    previous: Any, end: str | None
) -> None:
    """Typed items stay in order of arrival: several in a row, and during a reply."""
    typed = [added(item_id, previous) for item_id in "abdefh"]
    frames = [
        *typed[:2],
        *reply_to_nobody("c", end),
        *typed[2:4],
        started("u"),
        *typed[4:5],
        committed("u", None),
        *reply_to_nobody("g"),
        *typed[5:],
    ]

    assert order(*frames) == "abcdeufgh"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([added("c", None)], "cab"),
        ([added("c", None), added("d", None)], "dcab"),
        ([*reply_to_nobody("c", None), added("d", None)], "dabc"),
        ([null_named("c")], "abc"),
        ([null_named("c", "assistant")], "abc"),
        ([started("c"), added("d", None), committed("c", "b")], "dabc"),
        ([started("c"), committed("c", None)], "abc"),
        ([added("c")], "abc"),
        ([added("c", "")], "abc"),
        ([added("c", "root")], "cab"),
    ],
)
def test_null_of_a_service_that_names_predecessors(
    frames: list[Frame], expected: str
) -> None:
    """Null is the front for an item that another client can have put there."""
    assert order(added("a", None), added("b", "a"), *frames) == expected


def created(item_id: str, previous: Any = ...) -> Record:
    return to_record({**added(item_id, previous, "create")}, dir="out")


@pytest.mark.parametrize("named", [added("b", "a"), added("b", None), added("b")])
@pytest.mark.parametrize("previous", [None, "", ...])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [(..., "abc"), (None, "abc"), ("", "abc"), ("root", "cab"), ("a", "acb")],
)
def test_the_place_that_this_client_asked_for(
    named: Frame, previous: Any, asked: Any, expected: str
) -> None:
    """It counts if the service names no predecessor; without one it is the end."""
    state = fold([to_record(added("a", None)), to_record(named), created("c", asked)])
    before = state.sessions["s"].conversation
    after = reduce(state, to_record(added("c", previous))).sessions["s"].conversation

    assert list(before.asked_places) == ["c"]
    assert "".join(after.order) == expected
    kept = ["c"] if previous is ... and expected == "abc" else []
    assert list(after.asked_places) == kept


def test_the_service_is_obeyed() -> None:
    """A predecessor that the service names counts, whatever this client asked for."""
    for asked, named, expected in (("root", "b", "abc"), (..., "a", "acb")):
        records = [to_record(f) for f in (added("a", None), added("b", "a"))]
        records += [created("c", asked), to_record(added("c", named))]

        assert "".join(fold(records).sessions["s"].conversation.order) == expected


def test_a_place_behind_an_unknown_item() -> None:
    """The item moves when the predecessor that this client asked for arrives."""
    records = [to_record(added("a", None)), created("c", "x")]
    records += [to_record(added(each, None)) for each in "cbx"]

    assert "".join(fold(records).sessions["s"].conversation.order) == "axcb"


def test_the_place_of_a_known_item_is_not_asked_for() -> None:
    """Items without an id, and items that are sent again, ask for no place."""
    nameless = {"type": "conversation.item.create", "item": {"type": "message"}}
    records = [to_record(added("a", None)), created("a", "root")]
    state = fold([*records, to_record(nameless, dir="out")])

    assert not state.sessions["s"].conversation.asked_places


def test_the_same_place_again_changes_nothing() -> None:
    """An item that is sent again before it is confirmed keeps the node."""
    for asked in (..., "root", "a"):
        once = fold([created("c", asked)])
        again = reduce(once, created("c", asked))
        before, after = (each.sessions["s"].conversation for each in (once, again))

        assert before is after
        assert list(after.asked_places) == ["c"]


def test_the_places_of_a_connection_before() -> None:
    """What the client asked of a lost connection does not count on the next one."""
    records = [created("a", "root"), to_record({"type": "duologue.connecting"})]
    records.append(to_record({"type": "duologue.connecting"}, epoch=1))

    assert not fold(records).sessions["s"].conversation.asked_places


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([committed("u", None)], "auc"),
        ([committed("u", None), added("u", "c")], "acu"),
        ([committed("u", None), added("u", "c"), committed("u", "a")], "acu"),
        ([committed("u", "c"), added("u", None)], "acu"),
        ([committed("u", None), added("a", "c")], "auc"),
    ],
)
def test_a_name_after_a_null(frames: list[Frame], expected: str) -> None:
    """A name places an item that a null has left where it arrived.

    The first item of a connection is not moved.
    """
    arrived = [added("a", None), started("u"), added("c", None)]

    assert order(*arrived, *frames) == expected


def test_a_name_on_the_next_connection() -> None:
    """The echo of an item does not move it."""
    records = [to_record(added(each, None)) for each in "abc"]
    records.append(to_record({"type": "duologue.connecting"}, epoch=1))
    records.append(to_record(added("b", "c"), epoch=1))

    assert "".join(fold(records).sessions["s"].conversation.order) == "abc"


def first_arrivals(frames: Iterable[Frame]) -> list[str]:
    """The items of the conversation in the order in which the service names them."""
    asides: set[str] = set()
    found: dict[str, None] = {}
    for record in to_stream(frames):
        if record.dir != "in":
            continue
        frame = msgspec.json.decode(record.frame)
        response = frame.get("response") or {}
        if "conversation_id" in response and response["conversation_id"] is None:
            asides.add(response["id"])
        item_id = frame.get("item_id") or (frame.get("item") or {}).get("id")
        if item_id and frame.get("response_id") not in asides:
            found.setdefault(item_id)
    return list(found)


@given(scripts(4), st.sampled_from([(None,), (...,), (None, ...), ("",)]))
@enough
def test_the_order_of_arrival_without_predecessors(
    played: Script, nulls: tuple[Any, ...]
) -> None:
    """Any stream: a service that names no predecessor leaves the order of arrival."""
    frames: list[Frame] = []
    for number, frame in enumerate(played.frames):
        kept = {key: frame[key] for key in frame if key != "previous_item_id"}
        null = nulls[number % len(nulls)]
        if "previous_item_id" in frame and null is not ...:
            kept["previous_item_id"] = null
        frames.append(kept)
    session = fold(to_stream(frames)).sessions["s"]

    assert list(session.conversation.order) == first_arrivals(frames)
    assert not session.conversation.names_places


# --- Marks in the order ----------------------------------------------------------


@pytest.mark.parametrize("first", [[added("a", None)], []])
def test_what_was_cleared_stays_cleared(first: list[Frame]) -> None:
    """If the last cleared item leaves the order, the mark moves up."""
    at = {"response_id": "r", "item_id": "o"}
    session = fold_frames(
        *first,
        {"type": "response.output_text.delta", **at, "delta": "aside"},
        {"type": "duologue.cleared"},
        {"type": "response.created", "response": {"id": "r", "conversation_id": None}},
        added("b"),
    )

    assert [line.item_id for line in select_transcripts(session)] == ["b"]
    assert session.conversation.cleared_after == ("a" if first else None)


def test_the_end_of_the_connections_before_can_move() -> None:
    """The boundary stays at the last item of the earlier connections."""

    def anchored(previous: str) -> tuple[str, str | None]:
        frames = [(added("a", None), 0), (added("b", "a"), 0), (added("c"), 0)]
        connecting: Frame = {"type": "duologue.connecting"}
        frames += [(connecting, 1), (added("c", previous), 0), (added("d", None), 1)]
        records = [to_record(f, n, epoch=e) for n, (f, e) in enumerate(frames)]
        conversation = fold(records).sessions["s"].conversation
        return "".join(conversation.order), conversation.epoch_boundary

    assert anchored("a") == ("acbd", "b")
    assert anchored("b") == ("abcd", "c")


def test_a_late_item_of_a_connection_before() -> None:
    """It follows the items of its connection and precedes those of the next one."""
    connecting: Frame = {"type": "duologue.connecting"}
    frames = [(added("a"), 0), (connecting, 1), (added("c"), 1), (added("b"), 0)]
    records = [to_record(f, n, epoch=e) for n, (f, e) in enumerate(frames)]
    conversation = fold(records).sessions["s"].conversation

    assert ("".join(conversation.order), conversation.epoch_boundary) == ("abc", "b")


def test_the_place_of_an_item_that_was_restored() -> None:
    """This client chose it: the predecessor that the service names does not move it."""
    create = {**added("b", "root", "create"), "event_id": "e"}
    records = [
        *(to_record(added("a")), to_record(added("b"))),
        to_record({"type": "duologue.connecting"}, epoch=1),
        to_record({"type": "duologue.connected"}, epoch=1),
        to_record(create, epoch=1, dir="out"),
    ]
    before = fold(records)
    for previous in (None, "unknown"):
        after = reduce(before, to_record(added("b", previous), epoch=1)).sessions["s"]
        assert "".join(after.conversation.order) == "ab"
        assert after.conversation.orphans == before.sessions["s"].conversation.orphans
        assert not after.items["b"].placement.placed
