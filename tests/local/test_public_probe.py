"""Each line of a public probe of the real service, as a test of the local service.

The probe of 18 Sep 2026 used a WebSocket; `docs/local.md` names what still differs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from duologue.local import LocalService, Parts
from duologue.local.interfaces import Say

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

KEY = "sk-right-0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}"}
INVALID = "invalid_request_error"
TEXT = {"type": "realtime", "output_modalities": ["text"]}
HEARD = "conversation.item.input_audio_transcription"


@pytest.fixture
async def service() -> AsyncGenerator[LocalService]:
    async with LocalService(parts=Parts(), key=KEY) as service:
        yield service


def dial(
    service: LocalService,
    query: str = "model=m",
    headers: dict[str, str] = HEADERS,
) -> connect:
    url = service.base_url.replace("http", "ws", 1)
    return connect(f"{url}/realtime?{query}", additional_headers=headers)


async def until(far: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """The events up to the next one of this type."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads(await far.recv()))
    return events


def invalid(code: str | None, message: str, param: str | None = None) -> dict[str, Any]:
    return {
        "type": INVALID,
        "code": code,
        "message": message,
        "param": param,
        "event_id": None,
    }


@pytest.mark.parametrize(
    ("query", "headers", "code", "close"),
    [
        ("model=m", {"Authorization": "Bearer sk-wrong"}, "invalid_api_key", 3000),
        ("model=m", {}, None, 3000),
        ("model=gpt-4o", HEADERS, "invalid_model", 4000),
        ("", HEADERS, "missing_model", 4000),
        (
            "model=m",
            {**HEADERS, "OpenAI-Beta": "realtime=v1"},
            "beta_api_shape_disabled",
            4000,
        ),
    ],
)
async def test_everything_upgrades(
    service: LocalService,
    query: str,
    headers: dict[str, str],
    code: str | None,
    close: int,
) -> None:
    """Then one ``error`` event, and the close frame; its reason is ``type.code``."""
    async with dial(service, query, headers) as far, asyncio.timeout(5):
        [event] = [json.loads(await far.recv())]
        with pytest.raises(ConnectionClosed):
            await far.recv()
    assert (event["type"], event["error"]["code"]) == ("error", code)
    reason = f"{INVALID}.{code}" if code else INVALID
    assert (far.close_code, far.close_reason) == (close, reason)


async def test_a_refused_key_is_echoed_masked(service: LocalService) -> None:
    wrong = {"Authorization": "Bearer sk-wrong-0123456789wxyz"}
    async with dial(service, headers=wrong) as far:
        [event] = await until(far, "error")
    message = "Incorrect API key provided: sk-***wxyz."
    assert event["error"] == invalid("invalid_api_key", message)


async def test_the_clients_1000_is_echoed(service: LocalService) -> None:
    async with dial(service) as far:
        await until(far, "session.created")
        await far.close(1000)
    assert (far.close_code, far.protocol.close_rcvd_then_sent) == (1000, False)


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ('{"type": "no.such"}', "invalid_value", "type"),
        ('{"type": "transcription_session.update"}', "invalid_value", "type"),
        (
            '{"type": "session.update",'
            ' "session": {"type": "realtime", "bogus_field": 1}}',
            "unknown_parameter",
            "session.bogus_field",
        ),
        ("{", "invalid_json", None),
        (b"{}", "invalid_event", None),
    ],
)
async def test_an_error_is_not_fatal(
    service: LocalService, frame: str | bytes, code: str, param: str | None
) -> None:
    """One ``error`` without an ``event_id``, and the next response completes."""
    async with dial(service) as far:
        await until(far, "session.created")
        await far.send(frame)
        await far.send(json.dumps({"type": "session.update", "session": TEXT}))
        await far.send(json.dumps({"type": "response.create"}))
        events = await until(far, "response.done")
    [error] = [event["error"] for event in events if event["type"] == "error"]
    assert (error["type"], error["code"], error["param"]) == (INVALID, code, param)
    assert error["event_id"] is None
    if isinstance(frame, bytes):
        assert error["message"] == (
            "Expected a text WebSocket message; binary frames are not supported."
        )
    assert events[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("media", [False, True])
def test_the_accepted_types(bench: Make, media: bool) -> None:
    """12 names over a WebSocket: not ``output_audio_buffer.clear``, but two events of
    translation sessions. On a media connection the service has that event too.
    """
    desk = bench(media=media)
    desk.send("no.such")
    message = desk.last("error")["error"]["message"]
    head, _, names = message.removesuffix(".").partition(" Supported values are: ")
    assert head == "Invalid value: 'no.such'."
    assert set(names.split(", ")) == {
        "'session.update'",
        "'session.close'",
        "'session.input_audio_buffer.append'",
        "'input_audio_buffer.append'",
        "'input_audio_buffer.commit'",
        "'input_audio_buffer.clear'",
        "'conversation.item.create'",
        "'conversation.item.truncate'",
        "'conversation.item.delete'",
        "'conversation.item.retrieve'",
        "'response.create'",
        "'response.cancel'",
        *(["'output_audio_buffer.clear'"] if media else []),
    }
    desk.send("output_audio_buffer.clear")
    assert desk.types.count("error") == (1 if media else 2)
    desk.send("session.close")
    assert desk.last("error")["error"] == invalid(
        "invalid_event", "'session.close' is an event of translation sessions.", "type"
    )


def test_an_update_that_is_refused_in_one_field_is_dropped_whole(bench: Make) -> None:
    """The audio is still taken, the item comes, a transcript never."""
    desk = bench(transcribe=False)
    heard = {
        "format": {"type": "audio/pcm", "rate": 16_000},
        "transcription": {"model": "gpt-4o-transcribe"},
    }
    session = {"type": "realtime", "audio": {"input": heard}}
    desk.send("session.update", session=session)
    assert desk.last("error")["error"] == invalid(
        "integer_below_min_value",
        "Invalid 'session.audio.input.format.rate': integer below minimum value. "
        "Expected a value >= 24000, but got 16000 instead.",
        "session.audio.input.format.rate",
    )
    desk.turn()
    desk.run(10)
    wanted = ("speech_started", "committed", "item.added", "item.done")
    seen = [kind for kind in desk.types if kind.endswith(wanted)]
    assert seen[:4] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert not [kind for kind in desk.types if kind.startswith(HEARD)]


def test_the_order_of_a_text_turn(bench: Make) -> None:
    """The part is of type ``text``; of the rate limits only the tokens are shown."""
    desk = bench(session=TEXT, says="Hello.")
    desk.forget()
    part = {"type": "input_text", "text": "hello"}
    item = {"type": "message", "role": "user", "content": [part]}
    desk.send("conversation.item.create", item=item)
    desk.send("response.create")
    desk.run(3)
    assert desk.types == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert desk.last("response.content_part.added")["part"] == {
        "type": "text",
        "text": "",
    }
    [limit] = desk.last("rate_limits.updated")["rate_limits"]
    assert limit["name"] == "tokens"


def test_a_transcription_session_has_no_rate_limits(bench: Make) -> None:
    heard = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
    desk = bench(session={"type": "transcription", "audio": heard}, transcribe=False)
    desk.turn()
    desk.run(10)
    assert f"{HEARD}.completed" in desk.types
    assert "rate_limits.updated" not in desk.types


def test_deltas_carry_obfuscation(bench: Make) -> None:
    """Letters that fill the text up to a multiple of 16 characters (recordings)."""
    says = "Yes, I can hear you, extraordinarily-well-and-without-any-pause."
    for session, kind in (
        (TEXT, "response.output_text.delta"),
        ({"type": "realtime"}, "response.output_audio_transcript.delta"),
    ):
        desk = bench(session=session, says=says)
        desk.turn()
        desk.run(8)
        deltas = [*desk.of(kind), *desk.of(f"{HEARD}.delta")]
        assert len(deltas) > len(says.split())
        for event in deltas:
            filled = len(event["delta"]) + len(event["obfuscation"])
            assert filled % 16 == 0
            assert event["obfuscation"].isalnum()


def test_the_defaults_of_a_conversation(bench: Make) -> None:
    """``session.created`` is the first event, at once."""
    desk = bench(session={"model": "gpt-realtime"}, transcribe=False)
    [created] = desk.events
    assert created["type"] == "session.created"
    assert created["session"] == {
        "type": "realtime",
        "object": "realtime.session",
        "id": created["session"]["id"],
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 1000 + 3600,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "voice": "alloy",
                "speed": 1.0,
            },
        },
        "include": None,
    }


def test_the_defaults_of_a_transcription_session(bench: Make) -> None:
    """``transcription`` shows ``language`` and ``prompt`` once it is switched on."""
    desk = bench(session={"type": "transcription"}, transcribe=False)
    created = desk.last("session.created")["session"]
    heard = created["audio"]["input"]
    assert created["object"] == "realtime.transcription_session"
    assert (heard["transcription"], created["include"]) == (None, None)
    assert heard["turn_detection"]["silence_duration_ms"] == 200
    on = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
    desk.send("session.update", session={"type": "transcription", "audio": on})
    shown = desk.last("session.updated")["session"]["audio"]["input"]["transcription"]
    assert shown == {"model": "gpt-4o-transcribe", "language": None, "prompt": None}


def test_a_users_audio_item_is_completed_before_its_transcript(bench: Make) -> None:
    """Then come the deltas, and ``completed`` with the usage in tokens."""
    on = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
    desk = bench(session={"model": "gpt-realtime", "audio": on}, transcribe=False)
    desk.turn()
    desk.run(3)
    done = desk.of("conversation.item.done")[0]["item"]
    assert (done["status"], done["content"]) == (
        "completed",
        [{"type": "input_audio", "transcript": None}],
    )
    kinds = [kind for kind in desk.types if kind.startswith(HEARD)]
    assert kinds == [*4 * [f"{HEARD}.delta"], f"{HEARD}.completed"]
    assert desk.types.index(kinds[0]) > desk.types.index("conversation.item.done")
    usage = desk.last(f"{HEARD}.completed")["usage"]
    details = usage["input_token_details"]
    assert usage["type"] == "tokens"
    assert usage["input_tokens"] == details["text_tokens"] + details["audio_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_the_service_pings_with_4_bytes_and_sends_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """About every 20 s; here every 0.1 s."""
    from duologue.local.server import listener

    assert vars(listener)["_PING"] == 20
    monkeypatch.setattr(listener, "_PING", 0.1)
    pings: list[bytes] = []
    real = ClientConnection.process_event

    def watched(self: ClientConnection, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            pings.append(bytes(event.data))
        real(self, event)

    monkeypatch.setattr(ClientConnection, "process_event", watched)
    async with LocalService(parts=Parts(), key=KEY) as service, dial(service) as far:
        await until(far, "session.created")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await far.recv()
    assert len(pings) >= 3
    assert {len(data) for data in pings} == {4}


def test_the_usage_of_a_response(bench: Make) -> None:
    desk = bench(session={"model": "gpt-realtime"}, says="Hello.")
    desk.thoughts = (Say("Hello."),)
    desk.turn()
    desk.run(3)
    usage = desk.last("response.done")["response"]["usage"]
    assert {key: set(value) for key, value in usage.items() if "details" in key} == {
        "input_token_details": {
            "text_tokens",
            "audio_tokens",
            "image_tokens",
            "cached_tokens",
            "cached_tokens_details",
        },
        "output_token_details": {"text_tokens", "audio_tokens"},
    }
    cached = usage["input_token_details"]["cached_tokens_details"]
    assert {"text_tokens", "audio_tokens", "image_tokens"} == set(cached)
