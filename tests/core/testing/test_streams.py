"""The streams are legal or hostile, and have every event."""

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
from duologue.core.testing.mutations import OPTIONAL, like, without
from duologue.core.testing.session_script import ASIDES, ENDS, MCP, TRANSCRIPTS

from ..catalogue import LOCAL, WIRE, tag

BROAD = settings(
    max_examples=3_000,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
#: Events that no legal stream has: beta types, confirmations of requests that are
#: not made here, and sent audio.
ELSEWHERE = {
    *("conversation.created", "conversation.item.created"),
    *("input_audio_buffer.append", "input_audio_buffer.clear"),
    *("input_audio_buffer.cleared", "input_audio_buffer.commit"),
    "output_audio_buffer.clear",
    "conversation.item.input_audio_transcription.segment",
    *("duologue.gap", "duologue.forgotten"),
}


def every_turn() -> list[Turn]:
    """Turns with every value of every field."""
    words = ("one ", "two")
    found = [
        Turn(words, words, transcript=transcript, end=end, plays=True)
        for transcript in TRANSCRIPTS
        for end in ENDS
    ]
    calls: Any = {"calls": (("{}",),) * 2, "before_calls": words}
    found += [Turn(words, words, mcp=mcp, **calls) for mcp in MCP]
    found += [Turn(words, words, typed_within="three")]
    found += [Turn(words, words, False, aside=words, events=(e,)) for e in ASIDES]
    return found


@pytest.mark.parametrize("kind", [None, SessionKind.TRANSLATION])
def test_a_mutated_frame_keeps_its_kind(kind: Any) -> None:
    """A mutated frame keeps the kind of its session."""
    created = {"type": "session.created", "session": {"type": kind or "realtime"}}
    updated = {"type": "session.updated", "session": {}}
    record = to_records([created, updated])[1]

    assert record.event.KIND is kind
    assert like(record, record.frame) == record


def test_every_event_type_is_in_the_streams() -> None:
    """Every type of the catalogue is in a stream or in `ELSEWHERE`."""
    found = {record.event.type for record in to_records(script(every_turn()).frames)}
    translation = {tag(c) for c in WIRE if c.KIND is SessionKind.TRANSLATION}

    assert {tag(cls) for cls in (*WIRE, *LOCAL)} - found - translation == ELSEWHERE | {
        "duologue.closing",
        "duologue.closed",
    }


def test_the_model_supports_every_event() -> None:
    """`Model` agrees with the reducer after every record."""
    model, state = Model(), State()
    for record in to_records(script(every_turn()).frames):
        state = reduce(state, record)
        model.take(record)
        model.check(state.sessions["s"])


def kind_of(record: Record) -> str:
    return record.event.type


@given(records(turns=3, sessions=3, translation=True))
def test_legal_streams_are_legal(stream: list[Record]) -> None:
    """All events are known, valid, unique, numbered and in order of time."""
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
def test_hostile_streams_have_one_order(stream: list[Record]) -> None:
    """In a hostile stream, ``seq`` and the times are still in order."""
    for name in {record.session for record in stream}:
        numbers = [record.seq for record in stream if record.session == name]
        assert list(range(1, len(numbers) + 1)) == numbers
    times = [record.at for record in stream if record.at is not None]
    assert sorted(times) == times


@pytest.mark.parametrize("count", [60, 200])
def test_streams_can_be_long(count: int) -> None:
    """Long streams are drawn, and their repr stays short."""
    stream = find(records(turns=4), lambda s: len(s) > count, settings=BROAD)

    assert len(repr(stream)) < 30_000

    assert len(stream) > count


@pytest.mark.parametrize(
    "what",
    ["Unknown", "Malformed", "ConversationItemAdded", "Forgotten"],
)
def test_hostile_streams_have(what: str) -> None:
    """Hostile streams have unknown, invalid and misplaced events."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)
    stream = find(
        hostile(legal),
        lambda s: any(type(record.event).__name__ == what for record in s),
        settings=BROAD,
    )

    assert stream


@pytest.mark.parametrize("faults", [0, 1])
def test_as_many_faults_as_asked(faults: int) -> None:
    """With 0 faults the stream is unchanged; one fault adds at most one record."""
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
def test_some_faults_affect_the_whole_stream(what: Any) -> None:
    """A fault can remove all times, announcements or usage."""
    legal = to_records(script([Turn(("a",), ("b",))]).frames)

    assert not what(legal)
    assert find(hostile(legal), what, settings=BROAD)


EMPTY = '""'


def cost(record: Record) -> Any:
    event: Any = record.event
    return event.response.usage


@given(records(turns=1), st.sets(st.sampled_from(OPTIONAL), min_size=1), st.booleans())
def test_optional_fields_can_be_missing(
    stream: Stream, names: set[str], is_null: bool
) -> None:
    """A stream without some fields has the same event types and client events."""
    stripped = without(stream, names, is_null=is_null)

    assert [kind_of(record) for record in stripped] == [*map(kind_of, stream)]
    for before, after in zip(stream, stripped, strict=True):
        frame = after.frame.decode()
        if before.dir != "in":
            assert after is before
        elif is_null:
            assert not any(re.search(f'"{name}":(?!null)', frame) for name in names)
        else:
            assert not any(f'"{name}":' in frame for name in names)


def test_an_interrupted_response_has_no_usage() -> None:
    """A cancelled or failed response has no usage."""
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
def test_a_turn_rejects_unknown_values(
    field: str, value: Any, allowed: tuple[str, ...]
) -> None:
    """The error names the field, the value and the allowed values."""
    fields: Any = {field: value}
    with pytest.raises(ValueError, match=rf"^Turn\.{field} is ") as found:
        Turn(("a",), ("b",), **fields)
    assert repr(value[-1] if field == "events" else value) in str(found.value)
    assert all(repr(name) in str(found.value) for name in allowed)
    for name in allowed:
        fine: Any = {field: (name,) if field == "events" else name}
        assert script([Turn(("a",), ("b",), **fine)]).frames


@pytest.mark.parametrize("name", ["ASIDES", "ENDS", "MCP", "TRANSCRIPTS"])
def test_the_docstring_of_a_turn_is_complete(name: str) -> None:
    """The docstring of `Turn` lists every value."""
    doc = str(Turn.__doc__)
    table: Any = {"ASIDES": ASIDES, "ENDS": ENDS, "MCP": MCP}.get(name, TRANSCRIPTS)
    assert all(f"``{word or EMPTY}``" in doc for word in table)


@pytest.mark.parametrize("stream", ["x", 3, [3]])
def test_hostility_takes_records(stream: Any) -> None:
    """`hostile` takes records or a strategy; other arguments raise `TypeError`."""
    with pytest.raises(TypeError, match="a strategy, or a sequence of records"):
        hostile(stream)
    hostile([])


@given(st.data())
def test_one_turn(data: st.DataObject) -> None:
    """Arguments select spoken or typed turns, with or without tools."""
    spoken = data.draw(turns(spoken=True, tools=False))
    typed = data.draw(turns(spoken=False))
    begun = "input_audio_buffer.speech_started"
    calls = {"response.function_call_arguments.done", "mcp_list_tools.in_progress"}

    assert begun in map(kind_of, spoken)
    assert begun not in map(kind_of, typed)
    assert not calls & set(map(kind_of, spoken))


@given(plans())
def test_a_plan_is_a_turn(plan: Turn) -> None:
    """A single plan makes a script."""
    assert script([plan]).frames


@given(scripts(turns=2, prefix="x_"))
def test_ids_have_their_prefix(played: Script) -> None:
    """All ids have the prefix, so sessions can have different ids."""
    assert all(f.get("event_id", "x_").startswith("x_") for f in played.frames)


def test_a_translation_is_known_by_its_first_event() -> None:
    """After the first event, events decode as those of a translation."""
    stream = find(
        records(translation=True),
        lambda s: any(r.event.type == "session.input_transcript.delta" for r in s),
        settings=BROAD,
    )
    [session] = fold(stream).sessions.values()

    assert session.connection.kind is SessionKind.TRANSLATION


@pytest.mark.parametrize("frame", [{}, {"a": {}}, {"a": [[]]}, {"a": [1], "b": "c"}])
def test_bending(frame: dict[str, Any]) -> None:
    """Mutating a frame does not change the argument."""
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
    """A hostile stream can be mutated again."""
    fold(stream)


def test_an_impossible_event_is_skipped() -> None:
    """A deletion without an item is skipped."""
    gone = ("deleted_first", "deleted_first", "deleted_last", "retrieved")
    turn = Turn(("a",), ("b",), end="failed", events=gone)

    assert script([turn]).lines == ()


@settings(BROAD, max_examples=200)
@given(hostile(to_records([b"\xff", b"[]", b"{}"]), faults=6))
def test_invalid_frames_stay_invalid(stream: list[Record]) -> None:
    """A stream of invalid frames can be mutated and folded."""
    fold(stream)


def test_an_interruption_delays_other_events() -> None:
    """Events during an interruption are delayed until the user is silent."""
    gone = ("reconnected", "handed_over", "cleared", "timeout", "rate_limits")
    cut = Turn(("a",), ("b",), end="truncated", events=gone)
    played = script([cut, Turn(("c",), ("d",))])
    types = [frame["type"] for frame in played.frames]

    assert [line.text for line in played.lines] == ["a", "b", "c", "d"]
    assert "rate_limits.updated" in types
    assert not {"duologue.disconnected", "duologue.cleared"} & set(types)


def test_a_stream_written_by_hand() -> None:
    """`Service` makes complete utterances for hand-written streams."""
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
