"""Properties of the engine for arbitrary inputs in any order."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.local.interfaces import Call, Say

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

IDS = st.sampled_from(["a", "b", "root", "item_7", "item_12", "resp_9", "nobody"])
TEXTS = st.text(max_size=20)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "input_audio", "output_text", "what"])},
    optional={"text": TEXTS, "audio": TEXTS, "transcript": st.none() | TEXTS},
)
ITEMS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["message", "function_call", "function_call_output", "item_reference", ""]
        )
    },
    optional={
        "id": IDS,
        "role": st.sampled_from(["user", "assistant", "system", "?"]),
        "content": st.lists(PARTS, max_size=2) | st.none(),
        "output": TEXTS,
        "name": TEXTS,
        "call_id": IDS,
        "arguments": TEXTS,
        "surprise": TEXTS,
    },
)
VAD = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad", "other"])},
    optional={
        "threshold": st.floats(0, 1) | st.none() | TEXTS,
        "silence_duration_ms": st.integers(-100, 1000) | st.none(),
        "prefix_padding_ms": st.integers(-100, 1000),
        "eagerness": st.sampled_from(["low", "high", "auto"]),
        "create_response": st.booleans() | st.none(),
        "interrupt_response": st.booleans(),
    },
)
FORMATS = st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma", "audio/x"]).map(
    lambda kind: {"type": kind}
)
INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "turn_detection": VAD,
        "transcription": st.none()
        | st.sampled_from([{"model": "any"}, {"model": "x-diarize"}]),
        "format": FORMATS,
    },
)
TOOLS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["function", "mcp", "other", None, 3]),
        "name": st.none() | TEXTS,
        "description": st.none() | TEXTS,
        "server_label": TEXTS,
        "parameters": st.sampled_from([{"a": 1}, {}, None, [], "x"]),
        "allowed_tools": st.sampled_from([["a"], {"read_only": True}, None, 3]),
        "defer_loading": st.booleans() | st.none(),
        "surprise": TEXTS,
    },
)
TOOL_CHOICES: st.SearchStrategy[Any] = st.sampled_from(
    [
        "auto",
        "none",
        "required",
        "x",
        {"type": "function", "name": "a"},
        {"type": "function"},
        {"type": "mcp", "server_label": "a"},
        {"type": "mcp", "server_label": "a", "name": None},
        {"type": "mcp"},
        {"name": "a"},
        {},
        [],
        None,
        3,
    ]
)
SESSIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "realtime", "transcription", 3])},
    optional={
        "audio": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "input": INPUTS,
                "output": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": FORMATS,
                        "voice": st.sampled_from(["ash", {"id": "x"}, 3]),
                        "speed": st.floats(0, 2),
                    },
                ),
            },
        ),
        "max_output_tokens": st.integers(-1, 20) | st.sampled_from(["inf", "x", None]),
        "tools": st.none() | st.lists(TOOLS, max_size=2),
        "tool_choice": TOOL_CHOICES,
        "output_modalities": st.lists(st.sampled_from(["audio", "text"]), max_size=2),
        "instructions": st.none() | TEXTS,
    },
)
RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none", "else"]),
        "input": st.none() | st.lists(ITEMS, max_size=2),
        "output_modalities": st.sampled_from([["audio"], ["text"], [], None]),
        "metadata": st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
        "audio": st.none() | st.just({"output": {"voice": "ash"}}),
        "max_output_tokens": st.integers(1, 9),
        "tools": st.none() | st.lists(TOOLS, max_size=2),
        "tool_choice": TOOL_CHOICES,
    },
)
AUDIO = st.binary(max_size=64).map(lambda data: base64.b64encode(data).decode())


def event(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just(kind)}, optional={**fields, "event_id": TEXTS}
    )


EVENTS = st.one_of(
    event("session.update", session=SESSIONS),
    event("conversation.item.create", item=ITEMS, previous_item_id=IDS | st.none()),
    event("conversation.item.delete", item_id=IDS),
    event("conversation.item.retrieve", item_id=IDS),
    event(
        "conversation.item.truncate",
        item_id=IDS,
        content_index=st.integers(0, 1),
        audio_end_ms=st.integers(-5, 2000),
    ),
    event("input_audio_buffer.append", audio=AUDIO | TEXTS),
    event("input_audio_buffer.commit"),
    event("input_audio_buffer.clear"),
    event("output_audio_buffer.clear"),
    event("response.create", response=RESPONSES),
    event("response.cancel", response_id=IDS | st.none()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=5,
)
STEPS = st.one_of(
    EVENTS.map(lambda fields: ("raw", json.dumps(fields))),
    JSON.map(lambda value: ("raw", json.dumps(value))),
    (st.text(max_size=30) | st.binary(max_size=30)).map(lambda data: ("raw", data)),
    st.integers(0, 40).map(lambda frames: ("loud", frames)),
    st.integers(0, 60).map(lambda frames: ("quiet", frames)),
    st.integers(0, 100).map(lambda frames: ("wait", frames)),
    st.sampled_from(["ear", "mind", "voice"]).map(lambda part: ("break", part)),
    st.just(("mend", 0)),
    st.lists(st.builds(Say, TEXTS) | st.builds(Call, TEXTS, TEXTS), max_size=4).map(
        lambda thoughts: ("think", tuple(thoughts))
    ),
    st.just(("strange", 0)),
)


def follow(desk: Bench, steps: list[tuple[str, Any]]) -> None:
    for what, value in steps:
        match what:
            case "raw":
                desk.raw(value)
            case "loud" | "quiet":
                desk.hear(value * 20, loud=what == "loud")
            case "wait":
                desk.run(value * 0.02)
            case "break":
                desk.fails[value] = "broken by the test"
            case "think":
                desk.thoughts = value
            case "mend":
                desk.fails.clear()
            case "strange":
                answer_what_nobody_asked(desk)


def answer_what_nobody_asked(desk: Bench) -> None:
    engine, at = desk.engine, desk.at
    for name in ("item_7", "resp_9", "nobody"):
        engine.guessed(name, "one two three", at)
        engine.transcribed(name, "one two three", at)
        engine.transcription_failed(name, "why", at)
        engine.thought(name, Say("text"), at)
        engine.thought_all(name, at)
        engine.voiced(name, bytes(4), at)
        engine.voiced_all(name, at)
        engine.voice_failed(name, "why", at)
        engine.mind_failed(name, "why", at)
    engine.hear(b"\x01", at)
    engine.tick(at - 5)
    desk.follow()


KINDS = st.sampled_from(["realtime", "realtime", "transcription"])


@given(steps=st.lists(STEPS, max_size=30), media=st.booleans(), kind=KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_input_breaks_it(
    bench: Make, steps: list[tuple[str, Any]], media: bool, kind: str
) -> None:
    """Nothing raises, all frames decode, every response starts and ends once.

    `Bench` checks that frames decode and that deadlines are in the future; a guard
    checks every frame against the official types.
    """
    desk = bench(media=media, session={"type": kind}, transcribe=kind == "realtime")
    follow(desk, steps)
    desk.fails.clear()
    desk.run(20)
    # The engine's handler of its own bugs must not hide them here.
    errors = [each["error"]["type"] for each in desk.of("error")]
    assert "server_error" not in errors
    running: set[str] = set()
    for each in desk.events:
        response = each.get("response", {})
        if each["type"] == "response.created":
            assert response["id"] not in running
            if response["conversation_id"] is not None:
                assert not running, "a second response in the conversation"
                running.add(response["id"])
        elif each["type"] == "response.done":
            running.discard(response["id"])
    created = Counter(each["response"]["id"] for each in desk.of("response.created"))
    done = Counter(each["response"]["id"] for each in desk.of("response.done"))
    assert created == done
    assert set(created.values()) <= {1}
    ids = Counter(each["event_id"] for each in desk.events)
    assert set(ids.values()) == {1}


@given(steps=st.lists(STEPS, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_inputs_give_the_same_frames(
    bench: Make, steps: list[tuple[str, Any]]
) -> None:
    """The engine has no clock and no randomness."""
    first, second = bench(media=True), bench(media=True)
    for desk in (first, second):
        follow(desk, steps)
    assert first.events == second.events
    assert first.played == second.played


@given(steps=st.lists(STEPS, max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_opened_is_closed(bench: Make, steps: list[tuple[str, Any]]) -> None:
    """Every output item ends once, and every playback stops or is cleared."""
    desk = bench(media=True)
    follow(desk, steps)
    desk.run(20)
    opened = [each["item"]["id"] for each in desk.of("response.output_item.added")]
    ended = [each["item"]["id"] for each in desk.of("response.output_item.done")]
    assert sorted(opened) == sorted(ended)
    started = Counter(
        each["response_id"] for each in desk.of("output_audio_buffer.started")
    )
    over = Counter(
        each["response_id"]
        for kind in ("stopped", "cleared")
        for each in desk.of(f"output_audio_buffer.{kind}")
    )
    assert started == over


#: Events that open and close a level; content lies between those of its part.
OPEN = {"response.output_item.added": "item", "response.content_part.added": "part"}
SHUT = {"response.output_item.done": "item", "response.content_part.done": "part"}


@given(steps=st.lists(STEPS, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_events_of_a_response_nest(
    bench: Make, steps: list[tuple[str, Any]]
) -> None:
    """Created, the start and deltas of each item, the end of each item, done.

    As in the real service, all items stay open until the last one is complete.
    """
    desk = bench()
    follow(desk, steps)
    desk.run(20)
    flows: dict[str, list[dict[str, Any]]] = {}
    for each in desk.events:
        response = each.get("response_id") or each.get("response", {}).get("id")
        if response is not None:
            flows.setdefault(response, []).append(each)
    for flow in flows.values():
        assert flow[0]["type"] == "response.created"
        assert flow[-1]["type"] == "response.done"
        inside: dict[int, list[str]] = {}
        items: list[Any] = []
        for each in flow[1:-1]:
            kind, index = each["type"], each["output_index"]
            if kind == "response.output_item.added":
                assert index == len(inside)
                assert not items
            within = inside.setdefault(index, [])
            if kind in OPEN:
                within.append(OPEN[kind])
                assert within in (["item"], ["item", "part"])
            elif kind in SHUT:
                assert within.pop() == SHUT[kind]
            elif kind.endswith(".delta"):
                assert index == len(inside) - 1
                assert not items
                assert ("part" in within) is ("arguments" not in kind)
            if kind == "response.output_item.done":
                assert index == len(items)
                items.append(each["item"])
        assert not any(inside.values())
        assert flow[-1]["response"]["output"] == items


@given(steps=st.lists(STEPS, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_deltas_add_up_to_what_is_done(
    bench: Make, steps: list[tuple[str, Any]]
) -> None:
    """Text and arguments, complete or interrupted."""
    desk = bench()
    follow(desk, steps)
    desk.run(20)
    text: dict[tuple[str, str], str] = {}
    for each in desk.events:
        family, _, last = each["type"].rpartition(".")
        if not family.startswith("response.") or family == "response.output_audio":
            continue
        key = (family, each.get("item_id", ""))
        if last == "delta":
            text[key] = text.get(key, "") + each["delta"]
        elif last == "done" and key in text:
            final = each.get("text", each.get("transcript", each.get("arguments")))
            assert final == text[key]
