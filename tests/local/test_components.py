"""External components, against a real HTTP server with the built-in ones behind it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from duologue.local.components import from_urls
from duologue.local.interfaces import (
    Call,
    Called,
    Line,
    Prompt,
    RecogniserError,
    ReplyModelError,
    ReplyPart,
    Returned,
    Say,
    SynthesiserError,
    Tool,
)
from duologue.local.replies.llm_http import HttpReplyModel
from duologue.local.speech.asr_http import HttpRecogniser
from duologue.local.speech.asr_sphinx import SphinxRecogniser
from duologue.local.speech.http_endpoint import Endpoint, EndpointError
from duologue.local.speech.tts_http import HttpSynthesiser
from duologue.transports.http.credentials import Secret

from ..closed_set import resample

Reply = Callable[[Request], Awaitable[Response]]
WEATHER = Tool("weather", "Tells the weather.", '{"type":"object"}')


@attrs.define
class FakeService:
    """A service: its requests and its response."""

    url: str = ""
    reply: Reply | None = None
    asked: list[dict[str, Any]] = attrs.Factory(list)
    headers: list[dict[str, str]] = attrs.Factory(list)

    async def answer(self, request: Request) -> Response:
        kind = request.headers["content-type"].partition(";")[0]
        if kind == "application/json":
            self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        assert self.reply is not None
        return await self.reply(request)

    def says(self, body: Response) -> None:
        """Answer each request with this response."""

        async def reply(_: Request) -> Response:
            return body

        self.reply = reply


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.001)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    found = FakeService()
    paths = ("audio/transcriptions", "audio/speech", "chat/completions")
    routes = [Route(f"/v1/{path}", found.answer, methods=["POST"]) for path in paths]
    async with running(Starlette(routes=routes)) as url:
        found.url = url
        yield found


@pytest.fixture
async def far(service: FakeService) -> AsyncIterator[Callable[[str, str], Endpoint]]:
    """Makes endpoints of the fake service, and closes them at the end."""
    made: list[Endpoint] = []

    def make(part: str, path: str) -> Endpoint:
        made.append(Endpoint(part, service.url, path, "a-model", Secret("sk-secret")))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def events(*data: object, done: bool = True) -> StreamingResponse:
    """Server-sent events, in chunks of seven bytes."""
    lines = [json.dumps(item) for item in data] + ["[DONE]"] * done
    body = "".join(f"data: {line}\r\n\r\n" for line in lines).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    return StreamingResponse(pieces(), media_type="text/event-stream")


def delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


async def reply_of(model: HttpReplyModel, prompt: Prompt) -> list[ReplyPart]:
    return [part async for part in model.reply(prompt)]


def prompt(*lines: Any, **fields: Any) -> Prompt:
    return Prompt("Be brief.", lines or (Line("user", "Hello."),), **fields)


# The recogniser.


async def test_an_utterance_is_sent_as_a_wav_file(
    service: FakeService,
    far: Callable[[str, str], Endpoint],
    say: Callable[[str], Awaitable[bytes]],
) -> None:
    """Another recogniser understands it."""
    behind = SphinxRecogniser()

    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            upload: Any = form["file"]
            with wave.open(io.BytesIO(await upload.read())) as file:
                assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
                utterance = behind.listen(lambda _: None)
                utterance.feed(file.readframes(file.getnframes()))
            assert (form["model"], form["response_format"]) == ("a-model", "json")
        return JSONResponse({"text": await utterance.finish()})

    service.reply = transcribe
    speech = bytes(14_400) + await say("Can you hear me?") + bytes(14_400)
    utterance = HttpRecogniser(far("ear", "/audio/transcriptions")).listen(
        lambda _: None
    )
    pcm = resample(speech, 24_000, 16_000)
    for start in range(0, len(pcm), 1024):
        utterance.feed(pcm[start : start + 1024])
    assert "hear me" in await utterance.finish()
    assert service.headers[0]["authorization"] == "Bearer sk-secret"
    await behind.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (JSONResponse({"words": 1}), "has no text"),
        (Response("<html>"), "has no text"),
        (
            JSONResponse({"error": {"message": "no key\nlike sk-secret"}}, 401),
            r"refused \(401\): no key like \*\*\*",
        ),
        (Response("", 500), r"refused \(500\): an empty body"),
        (Response("", 307, {"location": "http://127.0.0.1:1/"}), r"refused \(307\)"),
        (Response(bytes(2_000_000)), "is too long"),
    ],
)
async def test_a_failed_transcription_is_a_one_line_error(
    service: FakeService,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
) -> None:
    service.says(answer)
    utterance = HttpRecogniser(far("ear", "/audio/transcriptions")).listen(
        lambda _: None
    )
    with pytest.raises(RecogniserError, match=message) as caught:
        await utterance.finish()
    assert "\n" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)


async def test_an_unreachable_service_is_a_one_line_error() -> None:
    recogniser = HttpRecogniser(
        Endpoint("ear", "http://127.0.0.1:9/v1", "/audio/transcriptions", "m")
    )
    with pytest.raises(RecogniserError, match=r"nothing answers at 127\.0\.0\.1:9"):
        await recogniser.listen(lambda _: None).finish()
    await recogniser.close()


# The synthesiser.


async def spoken(voice: Any, text: str = "Yes.") -> bytes:
    return b"".join([piece async for piece in voice.speak(text, voice="ash")])


def wav(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(pcm)
    return file.getvalue()


async def test_speech_is_streamed(
    service: FakeService,
    far: Callable[[str, str], Endpoint],
    say: Callable[[str], Awaitable[bytes]],
) -> None:
    """A chunk may end within a sample."""
    speech = await say("Yes, I can hear you well.")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(speech), 1001):
            yield speech[start : start + 1001]

    service.says(StreamingResponse(pieces(), media_type="audio/pcm"))
    voice = HttpSynthesiser(far("voice", "/audio/speech"))
    assert await spoken(voice, "Yes, I can hear you well.") == speech
    assert service.asked == [
        {
            "model": "a-model",
            "voice": "ash",
            "input": "Yes, I can hear you well.",
            "response_format": "pcm",
        }
    ]


async def test_a_wav_file_is_accepted(
    service: FakeService, far: Callable[[str, str], Endpoint], tone_voice: Any
) -> None:
    """Its sample rate is converted, and there is no leading silence."""
    loud = b"\x00\x20\x00\xe0" * 4000
    service.says(Response(wav(loud, 16_000)))
    pcm = await spoken(HttpSynthesiser(far("voice", "/audio/speech")))
    assert len(pcm) == pytest.approx(len(loud) * 1.5, rel=0.02)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response(wav(bytes(400), 24_000, channels=2)), "16 bits, mono"),
        (Response(b"RIFF" + bytes(9000)), "broken WAV"),
        (Response(b"OggS" + bytes(9000)), "sends no PCM"),
        (JSONResponse({"error": "?"}), "sends no PCM"),
        (Response("busy", 503), r"refused \(503\): busy"),
    ],
)
async def test_a_failed_synthesis_is_a_one_line_error(
    service: FakeService,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
) -> None:
    service.says(answer)
    with pytest.raises(SynthesiserError, match=message):
        await spoken(HttpSynthesiser(far("voice", "/audio/speech")))


# The reply model.


async def test_the_text_of_a_completion_is_streamed(
    service: FakeService, far: Callable[[str, str], Endpoint]
) -> None:
    service.says(
        events(delta(role="assistant"), delta(content="Hello"), delta(content=" ü."))
    )
    model = HttpReplyModel(far("mind", "/chat/completions"))
    found = await reply_of(model, prompt(max_output_tokens=50))
    assert found == [Say("Hello"), Say(" ü.")]
    assert service.asked == [
        {
            "model": "a-model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello."},
            ],
            "stream": True,
            "max_completion_tokens": 50,
        }
    ]


async def test_the_pieces_of_a_call_are_joined(
    service: FakeService, far: Callable[[str, str], Endpoint]
) -> None:
    """Two calls, each with its own arguments."""
    first = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}
    second = {"index": 1, "id": "c2", "function": {"name": "weather"}}
    service.says(
        events(
            delta(tool_calls=[first]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"at":'}}]),
            delta(tool_calls=[second]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '"home"}'}}]),
        )
    )
    model = HttpReplyModel(far("mind", "/chat/completions"))
    assert await reply_of(model, prompt(tools=(WEATHER,), tool_choice="weather")) == [
        Call("weather", '{"at":"home"}', "c1"),
        Call("weather", "{}", "c2"),
    ]
    [asked] = service.asked
    function = {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object"},
    }
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


async def test_outputs_follow_their_calls(
    service: FakeService, far: Callable[[str, str], Endpoint]
) -> None:
    """Consecutive calls share a message; calls without an output are left out."""
    service.says(events(delta(content="Warm.")))
    lines = (
        Line("user", "Weather?"),
        Called("c1", "weather", "{}"),
        Called("c2", "weather", '{"at":2}'),
        Called("c3", "weather", "{}"),
        Line("user", "Hurry."),
        Returned("c2", "hot"),
        Returned("c1", "cold"),
    )
    await reply_of(HttpReplyModel(far("mind", "/chat/completions")), prompt(*lines))

    def call(name: str, arguments: str) -> dict[str, object]:
        function = {"name": "weather", "arguments": arguments}
        return {"id": name, "type": "function", "function": function}

    assert service.asked[0]["messages"][1:] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call("c1", "{}"), call("c2", '{"at":2}')],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "cold"},
        {"role": "tool", "tool_call_id": "c2", "content": "hot"},
        {"role": "user", "content": "Hurry."},
    ]


@pytest.mark.parametrize(
    ("answer", "message", "code"),
    [
        (
            JSONResponse({"error": {"message": "slow down"}}, 429),
            r"refused \(429\): slow down",
            "inference_rate_limit_exceeded",
        ),
        (Response("oops", 500), r"refused \(500\): oops", "server_error"),
        (events({"error": {"message": "full"}}), "failed: full", "server_error"),
        (events({"choices": 5}), "no valid completion", "server_error"),
        (events(5), "no valid completion", "server_error"),
        (events(delta(content="Hel"), done=False), "is incomplete", "server_error"),
        (JSONResponse({"no": "stream"}), "is incomplete", "server_error"),
    ],
)
async def test_a_failed_completion_is_a_one_line_error(
    service: FakeService,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
    code: str,
) -> None:
    service.says(answer)
    with pytest.raises(ReplyModelError, match=message) as caught:
        await reply_of(HttpReplyModel(far("mind", "/chat/completions")), prompt())
    assert caught.value.code == code


async def test_closing_the_iterator_ends_the_request(
    service: FakeService, far: Callable[[str, str], Endpoint]
) -> None:
    """The service notices that the connection is closed."""
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b'data: {"choices": [{"delta": {"content": "on "}}]}\n\n'
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    service.says(StreamingResponse(endless()))
    reply = HttpReplyModel(far("mind", "/chat/completions")).reply(prompt())
    assert await anext(reply) == Say("on ")
    await reply.aclose()
    await asyncio.wait_for(gone.wait(), 5)


# All components.


@pytest.mark.parametrize(
    "url", ["", "ftp://host/v1", "http://", "http://x:70000", "nothing"]
)
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Endpoint("ear", url, "/audio/transcriptions", "m")


async def test_the_notices_name_the_data_that_leaves_the_machine() -> None:
    """Arguments override the environment; the URL may be that of the endpoint."""
    parts = from_urls(
        ear_url="https://ear.example/v1",
        voice_url="http://127.0.0.1:8000/v1/audio/speech",
        environ={
            "DUOLOGUE_EAR_URL": "http://unused/v1",
            "DUOLOGUE_VOICE_MODEL": "kokoro",
            "DUOLOGUE_MIND_URL": "https://user:pw@mind.example:8443/v1/",
            "DUOLOGUE_MIND_MODEL": "a-mind",
        },
    )
    assert parts.notices == (
        "the ear is gpt-transcribe at ear.example: your speech leaves this machine",
        "the voice is kokoro at 127.0.0.1:8000: it stays on this machine",
        "the mind is a-mind at mind.example:8443: the text of the conversation "
        "leaves this machine",
    )
    assert parts.mind.label == "a-mind at mind.example:8443"
    assert [str(far._url.path) for far in parts.far] == [
        "/v1/audio/transcriptions",
        "/v1/audio/speech",
        "/v1/chat/completions",
    ]
    await parts.close()


async def test_the_key_of_openai_is_sent_to_openai_only() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "DUOLOGUE_MIND_KEY": "sk-2"}
    parts = from_urls(
        ear_url="https://api.openai.com/v1",
        voice_url="https://api.openai.com.evil.example/v1",
        voice_model="v",
        mind_url="https://mind.example/v1",
        mind_model="m",
        environ=environ,
    )
    assert [far._key for far in parts.far] == [Secret("sk-1"), None, Secret("sk-2")]
    await parts.close()


def test_a_model_is_required() -> None:
    with pytest.raises(ValueError, match="--mind-model"):
        from_urls(mind_url="http://127.0.0.1:1/v1", environ={})


def test_an_endpoint_error_has_the_status() -> None:
    assert EndpointError("no", 404).status == 404
