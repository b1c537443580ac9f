"""Parts by URL, against a real HTTP server with the built-in parts behind it."""

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
from duologue.local.speech.resample import resample
from duologue.local.speech.tts_http import HttpSynthesiser
from duologue.transports.http.credentials import Secret

Reply = Callable[[Request], Awaitable[Response]]
WEATHER = Tool("weather", "Tells the weather.", '{"type":"object"}')


@attrs.define
class Elsewhere:
    """A service: what it was asked, and what it answers with."""

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
        """Whatever is asked, this is the answer."""

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
async def elsewhere() -> AsyncIterator[Elsewhere]:
    found = Elsewhere()
    paths = ("audio/transcriptions", "audio/speech", "chat/completions")
    routes = [Route(f"/v1/{path}", found.answer, methods=["POST"]) for path in paths]
    async with running(Starlette(routes=routes)) as url:
        found.url = url
        yield found


@pytest.fixture
async def far(elsewhere: Elsewhere) -> AsyncIterator[Callable[[str, str], Endpoint]]:
    """Makes endpoints of that service; closes them."""
    made: list[Endpoint] = []

    def make(part: str, path: str) -> Endpoint:
        made.append(Endpoint(part, elsewhere.url, path, "a-model", Secret("sk-secret")))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def events(*data: object, done: bool = True) -> StreamingResponse:
    """Server-sent events, cut into pieces that are no lines."""
    lines = [json.dumps(item) for item in data] + ["[DONE]"] * done
    body = "".join(f"data: {line}\r\n\r\n" for line in lines).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    return StreamingResponse(pieces(), media_type="text/event-stream")


def delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


async def thoughts(mind: HttpReplyModel, prompt: Prompt) -> list[ReplyPart]:
    return [thought async for thought in mind.reply(prompt)]


def prompt(*lines: Any, **fields: Any) -> Prompt:
    return Prompt("Be brief.", lines or (Line("user", "Hello."),), **fields)


# The ear.


async def test_an_ear_by_url_reads_what_was_said(
    elsewhere: Elsewhere,
    far: Callable[[str, str], Endpoint],
    say: Callable[[str], Awaitable[bytes]],
) -> None:
    """The utterance arrives as a WAV file that another ear understands."""
    behind = SphinxRecogniser()

    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            upload: Any = form["file"]
            with wave.open(io.BytesIO(await upload.read())) as file:
                assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
                hearing = behind.listen(lambda _: None)
                hearing.feed(file.readframes(file.getnframes()))
            assert (form["model"], form["response_format"]) == ("a-model", "json")
        return JSONResponse({"text": await hearing.finish()})

    elsewhere.reply = transcribe
    speech = bytes(14_400) + await say("Can you hear me?") + bytes(14_400)
    hearing = HttpRecogniser(far("ear", "/audio/transcriptions")).listen(lambda _: None)
    pcm = resample(speech, 24_000, 16_000)
    for start in range(0, len(pcm), 1024):
        hearing.feed(pcm[start : start + 1024])
    assert "hear me" in await hearing.finish()
    assert elsewhere.headers[0]["authorization"] == "Bearer sk-secret"
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
async def test_what_an_ear_cannot_use_is_one_clear_line(
    elsewhere: Elsewhere,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
) -> None:
    elsewhere.says(answer)
    hearing = HttpRecogniser(far("ear", "/audio/transcriptions")).listen(lambda _: None)
    with pytest.raises(RecogniserError, match=message) as caught:
        await hearing.finish()
    assert "\n" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)


async def test_nobody_there_is_one_clear_line() -> None:
    ear = HttpRecogniser(
        Endpoint("ear", "http://127.0.0.1:9/v1", "/audio/transcriptions", "m")
    )
    with pytest.raises(RecogniserError, match=r"nothing answers at 127\.0\.0\.1:9"):
        await ear.listen(lambda _: None).finish()
    await ear.close()


# The voice.


async def spoken(voice: Any, text: str = "Yes.") -> bytes:
    return b"".join([piece async for piece in voice.speak(text, voice="ash")])


def wav(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(pcm)
    return file.getvalue()


async def test_a_voice_by_url_says_what_the_service_speaks(
    elsewhere: Elsewhere,
    far: Callable[[str, str], Endpoint],
    say: Callable[[str], Awaitable[bytes]],
) -> None:
    """As it comes, in pieces that may cut a sample in two."""
    speech = await say("Yes, I can hear you well.")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(speech), 1001):
            yield speech[start : start + 1001]

    elsewhere.says(StreamingResponse(pieces(), media_type="audio/pcm"))
    voice = HttpSynthesiser(far("voice", "/audio/speech"))
    assert await spoken(voice, "Yes, I can hear you well.") == speech
    assert elsewhere.asked == [
        {
            "model": "a-model",
            "voice": "ash",
            "input": "Yes, I can hear you well.",
            "response_format": "pcm",
        }
    ]


async def test_a_wav_file_is_understood_too(
    elsewhere: Elsewhere, far: Callable[[str, str], Endpoint], tone_voice: Any
) -> None:
    """At its own rate: as long as it should be, and loud from the start."""
    loud = b"\x00\x20\x00\xe0" * 4000
    elsewhere.says(Response(wav(loud, 16_000)))
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
async def test_what_is_no_speech_is_one_clear_line(
    elsewhere: Elsewhere,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
) -> None:
    elsewhere.says(answer)
    with pytest.raises(SynthesiserError, match=message):
        await spoken(HttpSynthesiser(far("voice", "/audio/speech")))


# The mind.


async def test_a_mind_by_url_says_its_text_as_it_comes(
    elsewhere: Elsewhere, far: Callable[[str, str], Endpoint]
) -> None:
    elsewhere.says(
        events(delta(role="assistant"), delta(content="Hello"), delta(content=" ü."))
    )
    mind = HttpReplyModel(far("mind", "/chat/completions"))
    found = await thoughts(mind, prompt(max_output_tokens=50))
    assert found == [Say("Hello"), Say(" ü.")]
    assert elsewhere.asked == [
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


async def test_calls_come_in_pieces_and_go_on_whole(
    elsewhere: Elsewhere, far: Callable[[str, str], Endpoint]
) -> None:
    """Two at once, each with its own arguments."""
    first = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}
    second = {"index": 1, "id": "c2", "function": {"name": "weather"}}
    elsewhere.says(
        events(
            delta(tool_calls=[first]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"at":'}}]),
            delta(tool_calls=[second]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '"home"}'}}]),
        )
    )
    mind = HttpReplyModel(far("mind", "/chat/completions"))
    assert await thoughts(mind, prompt(tools=(WEATHER,), tool_choice="weather")) == [
        Call("weather", '{"at":"home"}', "c1"),
        Call("weather", "{}", "c2"),
    ]
    [asked] = elsewhere.asked
    function = {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object"},
    }
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


async def test_outputs_follow_their_calls(
    elsewhere: Elsewhere, far: Callable[[str, str], Endpoint]
) -> None:
    """Calls made together stand in one message; one without an output is left out."""
    elsewhere.says(events(delta(content="Warm.")))
    lines = (
        Line("user", "Weather?"),
        Called("c1", "weather", "{}"),
        Called("c2", "weather", '{"at":2}'),
        Called("c3", "weather", "{}"),
        Line("user", "Hurry."),
        Returned("c2", "hot"),
        Returned("c1", "cold"),
    )
    await thoughts(HttpReplyModel(far("mind", "/chat/completions")), prompt(*lines))

    def call(name: str, arguments: str) -> dict[str, object]:
        function = {"name": "weather", "arguments": arguments}
        return {"id": name, "type": "function", "function": function}

    assert elsewhere.asked[0]["messages"][1:] == [
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
async def test_a_mind_that_fails_is_one_clear_line(
    elsewhere: Elsewhere,
    far: Callable[[str, str], Endpoint],
    answer: Response,
    message: str,
    code: str,
) -> None:
    elsewhere.says(answer)
    with pytest.raises(ReplyModelError, match=message) as caught:
        await thoughts(HttpReplyModel(far("mind", "/chat/completions")), prompt())
    assert caught.value.code == code


async def test_a_reply_that_nobody_waits_for_is_given_up(
    elsewhere: Elsewhere, far: Callable[[str, str], Endpoint]
) -> None:
    """Closing the iterator ends the request at the service too."""
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b'data: {"choices": [{"delta": {"content": "on "}}]}\n\n'
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    elsewhere.says(StreamingResponse(endless()))
    reply = HttpReplyModel(far("mind", "/chat/completions")).reply(prompt())
    assert await anext(reply) == Say("on ")
    await reply.aclose()
    await asyncio.wait_for(gone.wait(), 5)


# All together.


@pytest.mark.parametrize(
    "url", ["", "ftp://host/v1", "http://", "http://x:70000", "nothing"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Endpoint("ear", url, "/audio/transcriptions", "m")


async def test_people_are_told_what_leaves_the_machine() -> None:
    """Options win over the environment; an endpoint's own URL is as good as a base."""
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


async def test_the_key_of_openai_goes_to_openai_alone() -> None:
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


def test_a_model_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="--mind-model"):
        from_urls(mind_url="http://127.0.0.1:1/v1", environ={})


def test_a_refusal_names_its_status() -> None:
    assert EndpointError("no", 404).status == 404
