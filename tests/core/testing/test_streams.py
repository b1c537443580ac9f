"""The streams are what they promise: legal, long enough, with everything in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from duologue.core import Record, SessionKind, State, fold, reduce, select_transcripts
from duologue.core.testing import (
    Model,
    Script,
    Service,
    Stream,
    Turn,
    bent,
    hostile,
    plans,
    records,
    script,
    scripts,
    to_records,
    turns,
)
from duologue.core.testing.session_script import ASIDES, ENDS, MCP, TRANSCRIPTS
from duologue.core.testing.stream_faults import SPARED, like, sparing
from duologue.core.testing.turn_plan import EVENTS

from ..catalogue import LOCAL, WIRE, tag

BROAD = settings(
    max_examples=3_000,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
#: What no legal stream of a session has: names of the beta, answers to what is not
#: asked here, audio that goes out.
ELSEWHERE = {
    *("conversation.created", "conversation.item.created"),
    *("input_audio_buffer.append", "input_audio_buffer.clear"),
    *("input_audio_buffer.cleared", "input_audio_buffer.commit"),
    "output_audio_buffer.clear",
    "conversation.item.input_audio_transcription.segment",
    *("duologue.gap", "duologue.forgotten"),
}


def every_turn() -> list[Turn]:
    """Plans in which everything happens."""
    words = ("one ", "two")
    found = [
        Turn(words, words, transcript=transcript, end=end, plays=True)
        for transcript in TRANSCRIPTS
        for end in ENDS
    ]
    found += [Turn(words, words, mcp=mcp, calls=(("{}",),) * 2) for mcp in MCP]
    found += [Turn(words, words, False, aside=words, events=(e,)) for e in ASIDES]
    return found


@pytest.mark.parametrize("kind", [None, SessionKind.TRANSLATION])
def test_a_bent_frame_is_of_the_same_kind(kind: Any) -> None:
    """A fault in a translation's frame leaves it one of a translation."""
    created = {"type": "session.created", "session": {"type": kind or "realtime"}}
    updated = {"type": "session.updated", "session": {}}
    record = to_records([created, updated])[1]

    assert record.event.KIND is kind
    assert like(record, record.frame) == record


def test_every_event_type_is_in_the_streams() -> None:
    """A type that is new in the catalogue comes in here or is named as left out."""
    found = {record.event.type for record in to_records(script(every_turn()).frames)}
    translation = {tag(c) for c in WIRE if c.KIND is SessionKind.TRANSLATION}

    assert {tag(cls) for cls in (*WIRE, *LOCAL)} - found - translation == ELSEWHERE | {
        "duologue.closed"
    }


def test_the_model_knows_everything_that_is_in_them() -> None:
    """It agrees with the reducer after every record of all of it."""
    model, state = Model(), State()
    for record in to_records(script(every_turn()).frames):
        state = reduce(state, record)
        model.take(record)
        model.check(state.sessions["s"])


def kind_of(record: Record) -> str:
    return record.event.type


@given(records(turns=3, sessions=3, translation=True))
def test_legal_streams_are_legal(stream: list[Record]) -> None:
    """Known, well formed, numbered, in order of time, each event once."""
    assert all(type(record.event).__name__ != "Malformed" for record in stream)
    for session in fold(stream).sessions.values():
        dedup = session.dedup
        assert (dedup.unknown, dedup.malformed, dedup.duplicate) == (0, 0, 0)
    for name in {record.session for record in stream}:
        numbers = [record.seq for record in stream if record.session == name]
        assert list(range(1, len(numbers) + 1)) == numbers
    times = [record.at or 0.0 for record in stream]
    assert sorted(times) == times


@given(hostile(records(turns=2, sessions=2)))
def test_hostile_streams_stand_in_one_order(stream: list[Record]) -> None:
    """The frames are hostile, the log is not."""
    for name in {record.session for record in stream}:
        numbers = [record.seq for record in stream if record.session == name]
        assert list(range(1, len(numbers) + 1)) == numbers
    times = [record.at for record in stream if record.at is not None]
    assert sorted(times) == times


@pytest.mark.parametrize("count", [60, 200])
def test_streams_can_be_long(count: int) -> None:
    """Long enough to mean something."""
    stream = find(records(turns=4), lambda s: len(s) > count, settings=BROAD)

    assert len(repr(stream)) < 30_000

    assert len(stream) > count


@pytest.mark.parametrize(
    "what",
    ["Unknown", "Malformed", "ConversationItemAdded", "Forgotten"],
)
def test_hostile_streams_have(what: str) -> None:
    """Types that are unknown, frames that are none, and what is legal beside them."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)
    stream = find(
        hostile(legal),
        lambda s: any(type(record.event).__name__ == what for record in s),
        settings=BROAD,
    )

    assert stream


@pytest.mark.parametrize("faults", [0, 1])
def test_as_many_faults_as_asked(faults: int) -> None:
    """None leaves the stream as it is, one adds one record at most; an empty stream
    stays empty."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)

    @settings(BROAD, max_examples=50)
    @given(hostile(legal, faults=faults), hostile([]))
    def check(stream: list[Record], nothing: list[Record]) -> None:
        assert len(stream) <= len(legal) + faults
        assert faults or [r.frame for r in stream] == [r.frame for r in legal]
        assert nothing == []

    check()


@pytest.mark.parametrize(
    "what",
    [
        lambda s: s and all(record.at is None for record in s),
        lambda s: "conversation.item.added" not in map(kind_of, s),
        lambda s: all(r.event.type != "response.done" or not cost(r) for r in s),
    ],
)
def test_some_faults_take_all_of_a_stream(what: Any) -> None:
    """No times, no event that an item begins, no usage."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)

    assert not what(legal)
    assert find(hostile(legal), what, settings=BROAD)


EMPTY = '""'


def cost(record: Record) -> Any:
    event: Any = record.event
    return event.response.usage


@given(records(turns=1), st.sets(st.sampled_from(SPARED), min_size=1), st.booleans())
def test_what_may_be_spared_is_no_loss(
    stream: Stream, names: set[str], is_null: bool
) -> None:
    """Each of these fields can be null or missing: every event is still understood,
    and of what the client said all stands."""
    spared = sparing(stream, names, is_null=is_null)

    assert [kind_of(record) for record in spared] == [*map(kind_of, stream)]
    for before, after in zip(stream, spared, strict=True):
        frame = after.frame.decode()
        if before.dir != "in":
            assert after is before
        elif is_null:
            assert not any(re.search(f'"{name}":(?!null)', frame) for name in names)
        else:
            assert not any(f'"{name}":' in frame for name in names)


def test_an_answer_that_was_cut_off_has_no_usage() -> None:
    """As one that failed; the others have."""
    for end in ENDS:
        stream = to_records(script([Turn(("a",), ("b",), end=end)]).frames)
        [done] = [record for record in stream if kind_of(record) == "response.done"]
        counts = end in ("completed", "incomplete")
        assert (cost(done) is not None) is counts


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("end", "nope", ENDS),
        ("transcript", "nope", TRANSCRIPTS),
        ("mcp", None, MCP),
        ("events", ("dtmf", "nope"), tuple(ASIDES)),
    ],
)
def test_a_turn_has_only_what_can_be_played(
    field: str, value: Any, allowed: tuple[str, ...]
) -> None:
    """Else the error names the field, the value and what is allowed."""
    fields: Any = {field: value}
    with pytest.raises(ValueError, match=rf"^Turn\.{field} has ") as found:
        Turn(("a",), ("b",), **fields)
    assert repr(value[-1] if field == "events" else value) in str(found.value)
    assert all(repr(name) in str(found.value) for name in allowed)
    for name in allowed:
        fine: Any = {field: (name,) if field == "events" else name}
        assert script([Turn(("a",), ("b",), **fine)]).frames


@pytest.mark.parametrize("name", ["ASIDES", "ENDS", "MCP", "TRANSCRIPTS"])
def test_the_words_of_a_turn_name_what_can_stand_in_it(name: str) -> None:
    """All of it: nobody has to look for the tables."""
    doc = str(Turn.__doc__)
    table: Any = {"ASIDES": ASIDES, "ENDS": ENDS, "MCP": MCP}.get(name, TRANSCRIPTS)
    assert all(f"``{word or EMPTY}``" in doc for word in table)


def test_what_a_turn_may_name_is_what_can_be_played() -> None:
    """Two tables, in two files, with the same names."""
    assert tuple(ASIDES) == EVENTS


@pytest.mark.parametrize("frame", [3, "x", None, ["x"]])
def test_what_is_no_frame_is_refused(frame: Any) -> None:
    """In a line."""
    with pytest.raises(TypeError, match=r"^a frame is a dict or bytes, not "):
        to_records([frame])


@pytest.mark.parametrize("stream", ["x", 3, [3]])
def test_hostility_takes_records(stream: Any) -> None:
    """Or a strategy of them, and says so; an empty list is one."""
    with pytest.raises(TypeError, match="a strategy, or a sequence of records"):
        hostile(stream)
    hostile([])


@given(st.data())
def test_one_turn(data: st.DataObject) -> None:
    """Is spoken or typed as it is asked for, with tools or without."""
    spoken = data.draw(turns(spoken=True, tools=False))
    typed = data.draw(turns(spoken=False))
    begun = "input_audio_buffer.speech_started"
    calls = {"response.function_call_arguments.done", "mcp_list_tools.in_progress"}

    assert begun in map(kind_of, spoken)
    assert begun not in map(kind_of, typed)
    assert not calls & set(map(kind_of, spoken))


@given(plans())
def test_a_plan_is_a_turn(plan: Turn) -> None:
    """And plays alone."""
    assert script([plan]).frames


@given(scripts(turns=2, prefix="x_"))
def test_ids_have_their_prefix(played: Script) -> None:
    """So that two sessions share none."""
    assert all(f.get("event_id", "x_").startswith("x_") for f in played.frames)


def test_records_of_frames_that_are_bytes() -> None:
    """What is not JSON comes in."""
    [record] = to_records([b"\xff"])

    assert (record.dir, record.event.type) == ("in", "malformed")


def test_a_translation_is_known_by_its_first_event() -> None:
    """From there on shared names mean what they mean in translations."""
    stream = find(
        records(translation=True),
        lambda s: any(r.event.type == "session.input_transcript.delta" for r in s),
        settings=BROAD,
    )
    [session] = fold(stream).sessions.values()

    assert session.connection.kind is SessionKind.TRANSLATION


@pytest.mark.parametrize("frame", [{}, {"a": {}}, {"a": [[]]}, {"a": [1], "b": "c"}])
def test_bending(frame: dict[str, Any]) -> None:
    """The frame that is bent stays as it was; one that is empty cannot be bent."""
    before = repr(frame)

    @settings(BROAD, max_examples=100)
    @given(bent(frame))
    def check(other: dict[str, Any]) -> None:
        assert repr(frame) == before
        assert isinstance(other, dict)

    check()


@settings(BROAD, max_examples=300)
@given(hostile(hostile(records(turns=1))))
def test_hostility_of_hostility(stream: list[Record]) -> None:
    """What is broken can be broken again."""
    fold(stream)


def test_an_event_out_of_place_is_left_alone() -> None:
    """Asides need somebody who is there."""
    gone = ("deleted_first", "deleted_first", "deleted_last", "retrieved")
    turn = Turn(("a",), ("b",), end="failed", events=gone)

    assert script([turn]).lines == ()


@settings(BROAD, max_examples=200)
@given(hostile(to_records([b"\xff", b"[]", b"{}"]), faults=6))
def test_what_is_broken_already_is_left_as_it_is(stream: list[Record]) -> None:
    """Bytes that are no frame cannot be bent, only moved, doubled, lost and cut."""
    fold(stream)


def test_a_user_who_interrupts_is_neither_cut_off_nor_cleared_away() -> None:
    """What would do that waits until nobody speaks."""
    gone = ("reconnected", "cleared", "timeout", "rate_limits")
    cut = Turn(("a",), ("b",), end="truncated", events=gone)
    played = script([cut, Turn(("c",), ("d",))])
    types = [frame["type"] for frame in played.frames]

    assert [line.text for line in played.lines] == ["a", "b", "c", "d"]
    assert "rate_limits.updated" in types
    assert not {"duologue.disconnected", "duologue.cleared"} & set(types)


def test_a_stream_that_is_written_by_hand() -> None:
    """Step by step, or a whole utterance at once."""
    service = Service()
    service.created()
    item_id = service.spoken("what ", "time?")
    reply_id = service.reply("Three.", spoken=False)
    aside_id = service.reply("Hm.", in_band=False)
    session = fold(to_records(service.frames)).sessions["s"]

    assert [(t.item_id, t.text) for t in select_transcripts(session)] == [
        (item_id, "what time?"),
        (reply_id, "Three."),
    ]
    assert str(session.items[aside_id].parts[0].text) == "Hm."
