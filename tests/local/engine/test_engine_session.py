"""Configuration and end of a session; transcription sessions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from duologue.local.engine import effects
from duologue.local.engine.settings import Settings
from duologue.local.interfaces import Line
from duologue.local.schema.refusal import Refusal

if TYPE_CHECKING:
    from tests.conftest import FrameGuard
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

#: A second of sound in base64.
SOUND = b"\x01\x10" * 24_000


def vad(**changes: Any) -> dict[str, Any]:
    found = {"type": "server_vad", **changes}
    return {"audio": {"input": {"turn_detection": found}}}


def push_to_talk() -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": None}}}


def append(desk: Bench, data: bytes) -> None:
    audio = base64.b64encode(data).decode()
    desk.send("input_audio_buffer.append", audio=audio)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"voice": "ash"}, "unknown_parameter", "session.voice"),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"turn_detection": None}, "unknown_parameter", "session.turn_detection"),
        ({"input_audio_format": "pcm16"}, "unknown_parameter", None),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"audio": {"inptu": {}}}, "unknown_parameter", "session.audio.inptu"),
        (vad(silence=3), "unknown_parameter", None),
        (vad(create_response=None), "invalid_type", None),
        (vad(interrupt_response=None), "invalid_type", None),
        (vad(threshold=2), "decimal_above_max_value", None),
        (vad(idle_timeout_ms=100), "integer_below_min_value", None),
        (
            {"max_output_tokens": 0},
            "integer_below_min_value",
            "session.max_output_tokens",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}},
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            {"reasoning": {"effort": "much"}},
            "invalid_value",
            "session.reasoning.effort",
        ),
        ({"max_output_tokens": "many"}, "invalid_value", None),
        ({"audio": {"output": {"speed": 2}}}, "decimal_above_max_value", None),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", None),
        ({"tool_choice": "always"}, "invalid_value", "session.tool_choice"),
        (
            {"truncation": {"type": "retention_ratio"}},
            "missing_required_parameter",
            None,
        ),
        ({"include": ["everything"]}, "invalid_value", "session.include[0]"),
    ],
)
def test_an_update_is_refused_whole(
    bench: Make, changes: dict[str, Any], code: str, param: str | None
) -> None:
    """Beta keys, unknown keys or values out of range change nothing."""
    desk = bench(session={"model": "this"})
    changes = {"type": "realtime", "instructions": "Be brief.", **changes}
    desk.send("session.update", session=changes)
    error = desk.last("error")["error"]
    assert error["code"] == code
    assert param in (None, error["param"])
    desk.send("session.update", session={"type": "realtime"})
    shown = desk.last("session.updated")["session"]
    assert shown == desk.last("session.created")["session"]


def test_another_model_is_ignored(bench: Make) -> None:
    """The session keeps its model, the other changes take effect (a live capture).

    A session without a model keeps none.
    """
    for session in ({"model": "this"}, {}):
        desk = bench(session=session, transcribe=False)
        changes = {"type": "realtime", "model": "another", "instructions": "Be brief."}
        desk.send("session.update", session=changes)
        before = desk.last("session.created")["session"]
        shown = desk.last("session.updated")["session"]
        assert shown == before | {"instructions": "Be brief."}
        assert shown.get("model") == session.get("model")


@pytest.mark.parametrize(
    "effort", ["none", "minimal", "low", "medium", "high", "xhigh"]
)
def test_the_efforts_of_reasoning(
    bench: Make, effort: str, frame_guard: FrameGuard
) -> None:
    """Clients send ``none`` too, which the types of ``openai`` do not have."""
    desk = bench()
    reasoning = {"effort": effort}
    desk.send("session.update", session={"type": "realtime", "reasoning": reasoning})
    assert desk.last("session.updated")["session"]["reasoning"] == reasoning
    if effort == "none":
        assert all("input_value='none'" in each for each in frame_guard.wrong)
        frame_guard.wrong.clear()


#: Every optional key of a session that does not switch something off, as null.
NULLS: dict[str, Any] = {
    "type": "realtime",
    "model": None,
    "output_modalities": None,
    "instructions": None,
    "tools": None,
    "tool_choice": None,
    "parallel_tool_calls": None,
    "max_output_tokens": None,
    "reasoning": None,
    "truncation": None,
}


@pytest.mark.parametrize(
    "more",
    [
        {"audio": None},
        {"audio": {"input": None, "output": None}},
        {"audio": {"input": {"format": None}, "output": {"format": None}}},
        {"audio": {"output": {"voice": None, "speed": None}}},
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": None}}}},
        vad(threshold=None, prefix_padding_ms=None, silence_duration_ms=None),
        {"audio": {"input": {"turn_detection": {"type": None}}}},
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
        {"audio": {"input": {"noise_reduction": {"type": None, "strength": None}}}},
        {"audio": {"input": {"transcription": {"model": None}}}},
        {"reasoning": {"effort": None}},
        {"tracing": {"workflow_name": "a", "group_id": None, "metadata": None}},
        {
            "truncation": {
                "type": "retention_ratio",
                "retention_ratio": 0.5,
                "token_limits": {"post_instructions": None},
            }
        },
        {"tools": [{"type": "function", "name": "a", "description": None}]},
        {"tools": [{"type": "function", "name": "a", "parameters": None}]},
        {
            "tools": [
                {
                    "type": "mcp",
                    "server_label": "a",
                    "server_url": None,
                    "headers": None,
                    "allowed_tools": None,
                    "require_approval": None,
                    "defer_loading": None,
                }
            ]
        },
        {"tool_choice": {"type": "mcp", "server_label": "a", "name": None}},
        {"prompt": {"id": "a", "version": None, "variables": None}},
    ],
)
def test_a_null_of_a_session_is_not_given(bench: Make, more: dict[str, Any]) -> None:
    """SDKs send them: the session is as if only the other keys were sent.

    It is accepted at the start too.
    """
    shown = []
    for changes in ({**NULLS, **more}, {"type": "realtime", **_without_nulls(more)}):
        session = {"model": "this", "instructions": "Be brief."}
        desk = bench(session=session, transcribe=False)
        desk.send("session.update", session=changes)
        shown.append(desk.last("session.updated")["session"])
        started = bench(session=changes, transcribe=False)
        shown.append(started.last("session.created")["session"])
    ids = {"id": None, "expires_at": None}
    assert shown[0] | ids == shown[2] | ids
    assert shown[1] | ids == shown[3] | ids


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {
            k: _without_nulls(each) for k, each in value.items() if each is not None
        }
    return value


def test_some_nulls_switch_off(bench: Make) -> None:
    """API pages "session.update" and "Transcription": null is their value for off."""
    on = {
        "turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000},
        "transcription": {"model": "m", "language": "en", "prompt": "names"},
        "noise_reduction": {"type": "near_field"},
    }
    session = {"tracing": "auto", "prompt": {"id": "a"}, "audio": {"input": on}}
    desk = bench(session=session, transcribe=False)
    for off in (
        {
            "turn_detection": {"idle_timeout_ms": None},
            "transcription": {"language": None, "prompt": None},
        },
        {"turn_detection": None, "transcription": None, "noise_reduction": None},
    ):
        changes = {"tracing": None, "prompt": None, "audio": {"input": off}}
        desk.send("session.update", session={"type": "realtime", **changes})
    first, second = (event["session"] for event in desk.of("session.updated"))
    heard = first["audio"]["input"]
    assert heard["turn_detection"]["idle_timeout_ms"] is None
    assert heard["transcription"] == {"model": "m", "language": None, "prompt": None}
    assert (first["tracing"], first["prompt"]) == (None, None)
    heard = second["audio"]["input"]
    assert [heard[key] for key in on] == [None, None, None]


@pytest.mark.parametrize(
    ("model", "silence_ms", "voice"),
    [
        ("gpt-realtime", 200, "alloy"),
        ("gpt-realtime-2025-08-28", 200, "alloy"),
        ("gpt-realtime-mini-2025-12-15", 200, "alloy"),
        ("gpt-realtime-1.5", 200, "alloy"),
        ("gpt-realtime-2", 500, "marin"),
        ("gpt-realtime-2.1", 500, "marin"),
        ("gpt-realtime-2.1-mini-2026-09-01", 500, "marin"),
        ("some-model", 500, "alloy"),
    ],
)
def test_the_defaults_depend_on_the_model(
    bench: Make, model: str, silence_ms: int, voice: str
) -> None:
    """As in recordings; turn detection that is switched on again has them too."""
    desk = bench(session={"model": model}, transcribe=False)
    for detection in (None, {"type": "semantic_vad"}, {"type": "server_vad"}):
        audio = {"input": {"turn_detection": detection}}
        desk.send("session.update", session={"type": "realtime", "audio": audio})
    for shown in (desk.last("session.created"), desk.last("session.updated")):
        session = shown["session"]
        detection = session["audio"]["input"]["turn_detection"]
        assert detection["silence_duration_ms"] == silence_ms
        assert session["audio"]["output"]["voice"] == voice


@pytest.mark.parametrize(
    "model",
    ["whisper-1", "gpt-4o-transcribe-2025-03-20", "gpt-realtime-whisper", "gpt-4o"],
)
def test_a_model_of_another_kind_holds_no_conversation(model: str) -> None:
    with pytest.raises(Refusal) as caught:
        Settings("sess_1", {"model": model})
    assert (caught.value.code, caught.value.message, caught.value.param) == (
        "invalid_model",
        f'Model "{model}" is not supported in realtime mode.',
        "session.model",
    )


def test_what_the_service_takes_is_kept_and_shown(bench: Make) -> None:
    """Settings without effect are kept too."""
    desk = bench(session={"model": "this"})
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    given: dict[str, Any] = {
        "model": "this",
        "instructions": "Be brief.",
        "output_modalities": ["text"],
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": False,
        "max_output_tokens": 100,
        "reasoning": {"effort": "low"},
        "prompt": {"id": "pmpt_1", "version": "2"},
        "tracing": {"workflow_name": "test"},
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "noise_reduction": {"type": "near_field"},
                "transcription": {
                    "model": "whisper-1",
                    "language": "en",
                    "prompt": "names",
                },
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "high",
                    "create_response": True,
                    "interrupt_response": False,
                },
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": "ash", "speed": 1.2},
        },
    }
    desk.send("session.update", session={"type": "realtime", **given})
    shown = desk.last("session.updated")["session"]
    assert {key: shown[key] for key in given} == given


def test_the_voice_is_frozen_once_it_was_heard(bench: Make) -> None:
    """The same voice is no change; before the first audio the voice can change."""
    desk = bench()

    def choose(voice: str) -> str:
        output = {"audio": {"output": {"voice": voice}}}
        desk.send("session.update", session={"type": "realtime", **output})
        return desk.types[-1]

    assert choose("ash") == "session.updated"
    desk.send("response.create")
    desk.run(3)
    assert choose("ash") == "session.updated"
    assert choose("coral") == "error"
    error = desk.last("error")["error"]
    assert error["code"] == "cannot_update_voice"
    assert error["param"] == "session.audio.output.voice"


def test_push_to_talk(bench: Make) -> None:
    """Append, commit, `response.create`; nothing happens automatically."""
    desk = bench(session=push_to_talk(), transcribe=False)
    desk.forget()
    append(desk, SOUND)
    desk.run(1)
    assert desk.types == []
    desk.send("input_audio_buffer.commit")
    assert desk.types == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.lines == (Line("user", "can you hear me"),)


@pytest.mark.parametrize("audio", [b"", bytes(4_000)])
def test_a_commit_needs_a_tenth_of_a_second(bench: Make, audio: bytes) -> None:
    """A cleared buffer is too short as well."""
    desk = bench(session=push_to_talk())
    append(desk, SOUND)
    desk.send("input_audio_buffer.clear")
    append(desk, audio)
    desk.send("input_audio_buffer.commit")
    error = desk.last("error")["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    append(desk, bytes(4_800))
    desk.send("input_audio_buffer.commit")
    assert desk.types[-1] == "conversation.item.done"


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_the_telephones_formats(bench: Make, kind: str) -> None:
    """G.711 in appends and deltas: one byte per sample at 8 kHz."""
    shape = {"type": kind}
    desk = bench(
        session={
            "audio": {
                "input": {"format": shape, "turn_detection": None},
                "output": {"format": shape},
            }
        },
        audio_ms=1000,
    )
    append(desk, b"\xd5\x2a" * 8_000)
    desk.hold = (effects.FinishUtterance,)
    desk.send("input_audio_buffer.commit")
    assert sum(desk.fed.values()) == 2 * 2 * 16_000
    desk.release()
    desk.send("response.create")
    desk.run(3)
    deltas = [event["delta"] for event in desk.of("response.output_audio.delta")]
    assert sum(len(base64.b64decode(delta)) for delta in deltas) == 8_000
    response = desk.last("response.done")["response"]
    assert response["audio"]["output"]["format"] == shape


def test_a_silent_user_is_spoken_to_again(bench: Make) -> None:
    """After playback of the reply, the silence becomes an item with a response."""
    desk = bench(media=True, session=vad(idle_timeout_ms=5_000), audio_ms=2000)
    desk.turn()
    desk.run(4)
    stopped = desk.at
    desk.forget()
    desk.run(4.5)
    desk.hear(3_000)
    assert desk.types[:6] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
    ]
    timeout = desk.last("input_audio_buffer.timeout_triggered")
    assert timeout["item_id"] == desk.last("input_audio_buffer.committed")["item_id"]
    assert timeout["audio_start_ms"] <= timeout["audio_end_ms"]
    assert desk.at - stopped >= 5


def test_whoever_speaks_in_time_is_not_disturbed(bench: Make) -> None:
    desk = bench(session=vad(idle_timeout_ms=5_000))
    desk.turn()
    desk.run(4)
    desk.hear(2_000, loud=True)
    desk.hear(400)
    desk.run(3)
    assert "input_audio_buffer.timeout_triggered" not in desk.types


def test_a_session_ends_after_its_life(bench: Make) -> None:
    """An error, then the close; later events get no answer."""
    desk = bench(life=60.0)
    desk.hold = (effects.CloseConnection,)
    created = desk.last("session.created")["session"]
    assert created["expires_at"] == 1060
    desk.run(59)
    assert desk.types[-1] == "session.created"
    desk.run(2)
    error = desk.last("error")["error"]
    assert error["code"] == "session_expired"
    [close] = desk.held
    assert isinstance(close, effects.CloseConnection)
    assert close.code == 1001
    desk.forget()
    desk.send("response.create")
    desk.turn()
    assert desk.types == []


TRANSCRIPTION: dict[str, Any] = {"type": "transcription"}
WRITES_DOWN = {"audio": {"input": {"transcription": {"model": "any"}}}}


def test_a_transcription_session_writes_nothing_down_until_it_is_told_to(
    bench: Make,
) -> None:
    """The defaults are those of the real service."""
    desk = bench(session=TRANSCRIPTION, transcribe=False)
    session = desk.last("session.created")["session"]
    assert session["include"] is None
    assert session["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
            },
        }
    }
    desk.turn()
    desk.run(3)
    assert desk.types[-1] == "conversation.item.done"


def test_turn_detection_that_comes_back_has_the_defaults_of_its_kind_of_session(
    bench: Make,
) -> None:
    shown = []
    for kind in ("realtime", "transcription"):
        desk = bench(session={"type": kind}, transcribe=False)
        for detection in (None, {"type": "server_vad"}):
            audio = {"input": {"turn_detection": detection}}
            desk.send("session.update", session={"type": kind, "audio": audio})
        [before, after] = desk.last("session.created"), desk.last("session.updated")
        assert after["session"] == before["session"]
        shown.append(after["session"]["audio"]["input"]["turn_detection"])
    assert [each["silence_duration_ms"] for each in shown] == [500, 200]


def test_a_transcription_session_has_no_model_of_its_own() -> None:
    """The transcription model is in ``audio.input.transcription``."""
    with pytest.raises(Refusal) as caught:
        Settings("sess_1", {**TRANSCRIPTION, "model": "any"})
    assert (caught.value.code, caught.value.param) == ("invalid_model", "session.model")


def test_a_transcription_session_only_writes_down(bench: Make) -> None:
    desk = bench(session={**TRANSCRIPTION, **WRITES_DOWN}, transcribe=False)
    session = desk.last("session.created")["session"]
    assert session["type"] == "transcription"
    assert session["object"] == "realtime.transcription_session"
    assert "output" not in session["audio"]
    desk.turn()
    desk.run(3)
    word = "conversation.item.input_audio_transcription.delta"
    assert [kind for kind in desk.types if kind != word] == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    desk.send("response.create")
    assert desk.last("error")["error"]["code"] == "invalid_event"


def test_a_sessions_kind_is_fixed(bench: Make) -> None:
    for kind, other in (("realtime", "transcription"), ("transcription", "realtime")):
        desk = bench(session={"type": kind}, transcribe=False)
        desk.send("session.update", session={"type": other})
        error = desk.last("error")["error"]
        assert (error["code"], error["param"]) == ("invalid_parameter", "session.type")


def test_segments_come_where_the_model_tells_speakers_apart(bench: Make) -> None:
    asked = {"transcription": {"model": "some-diarize"}}
    desk = bench(session={**TRANSCRIPTION, "audio": {"input": asked}}, transcribe=False)
    desk.turn()
    segment = desk.last("conversation.item.input_audio_transcription.segment")
    completed = desk.last("conversation.item.input_audio_transcription.completed")
    assert segment["text"] == completed["transcript"]
    assert segment["start"] == 0 < segment["end"]


def test_words_stop_at_the_limit(bench: Make) -> None:
    """``max_output_tokens``: the response is incomplete with a reason."""
    desk = bench(session={"output_modalities": ["text"]}, says="one two three four")
    desk.send("response.create", response={"max_output_tokens": 2})
    desk.run(3)
    response = desk.last("response.done")["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {
        "type": "incomplete",
        "reason": "max_output_tokens",
    }
    assert response["output"][0]["content"][0]["text"] == "one two"
    assert response["output"][0]["status"] == "incomplete"


def test_a_conversation_has_a_limit(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's item is refused; utterances replace the oldest items."""
    monkeypatch.setattr("duologue.local.engine.conversation._MOST_ITEMS", 3)
    desk = bench()
    content = [{"type": "input_text", "text": "hello"}]
    item = {"type": "message", "role": "user", "content": content}
    for name in "abc":
        desk.send("conversation.item.create", item={**item, "id": name})
    desk.send("conversation.item.create", item=item)
    assert desk.last("error")["error"]["code"] == "context_length_exceeded"
    desk.turn()
    desk.run(3)
    assert desk.last("response.done")["response"]["status"] == "completed"
    assert len(desk.engine.conversation.items) == 3


def test_responses_at_a_time_have_a_limit(bench: Make) -> None:
    desk = bench()
    desk.hold = (effects.GenerateReply,)
    for _ in range(32):
        desk.send("response.create", response={"conversation": "none"})
    assert "error" not in desk.types
    desk.send("response.create", response={"conversation": "none"})
    assert desk.last("error")["error"]["code"] == "rate_limit_exceeded"
    desk.turn()
    created = desk.last("response.created")["response"]
    assert created["conversation_id"] is not None, "a turn is always answered"


def test_audio_in_an_item_is_heard(bench: Make) -> None:
    """The audio is transcribed, and a response waits for the transcript."""
    desk = bench(words="hello there")
    desk.hold = (effects.FinishUtterance, effects.GenerateReply)
    audio = base64.b64encode(SOUND).decode()
    content = [
        {"type": "input_text", "text": "Listen:"},
        {"type": "input_audio", "audio": audio},
    ]
    item = {"type": "message", "role": "user", "content": content, "id": "a"}
    desk.send("conversation.item.create", item=item)
    shown = desk.last("conversation.item.added")["item"]["content"]
    assert shown == [content[0], {"type": "input_audio", "transcript": None}]
    desk.send("response.create")
    [finish] = desk.held
    assert isinstance(finish, effects.FinishUtterance)
    desk.held.clear()
    desk.answer(finish)
    desk.follow()
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.lines == (Line("user", "Listen: hello there"),)
    completed = desk.last("conversation.item.input_audio_transcription.completed")
    assert (completed["item_id"], completed["transcript"]) == ("a", "hello there")


def test_an_item_with_broken_audio_is_refused(bench: Make) -> None:
    desk = bench()
    content = [{"type": "input_audio", "audio": "&&&"}]
    item = {"type": "message", "role": "user", "content": content}
    desk.send("conversation.item.create", item=item)
    assert desk.types[-1] == "error"
    assert desk.engine.conversation.items == ()
