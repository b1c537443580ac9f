"""The driver of an engine in real time, with scripted and built-in components."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import attrs
import pytest

from duologue.local import Options, Parts, SessionRunner, built_in
from duologue.local.engine.audio_buffers import MOST_AUDIO
from duologue.local.faults.injector import Fault, Faults, Late, Mute
from duologue.local.interfaces import (
    Call,
    Prompt,
    RecogniserError,
    ReplyPart,
    Say,
    Synthesiser,
    SynthesiserError,
    Utterance,
    Wait,
)
from duologue.local.server.session_runner import new_id

TYPED = {
    "type": "conversation.item.create",
    "item": {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "hello"}],
    },
}
HELLO = "Hello there. It is good to hear you."
QUICK = Options(pace=float("inf"))


TEXT = {"output_modalities": ["text"]}
PUSH_TO_TALK = {"audio": {"input": {"turn_detection": None}}}


def append_of(pcm: bytes) -> dict[str, str]:
    audio = base64.b64encode(pcm).decode()
    return {"type": "input_audio_buffer.append", "audio": audio}


@attrs.frozen
class Giving:
    """A mind that gives these thoughts to everything."""

    thoughts: tuple[ReplyPart, ...]
    label: str = "given"

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        for thought in self.thoughts:
            yield thought


class Deaf:
    """A detector that never reports speech."""

    chunk_bytes = 1024

    def __call__(self, pcm16k: bytes) -> float:
        return 0.0

    def reset(self) -> None:
        pass


class Client:
    """Collects the events of a runner."""

    def __init__(self, parts: Parts, **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._arrived = asyncio.Event()
        self.runner = SessionRunner(self._take, parts, **options)
        self.runner.start()

    def _take(self, frame: str) -> None:
        self.events.append(json.loads(frame))
        self._arrived.set()

    def send(self, *events: dict[str, Any]) -> None:
        for event in events:
            self.runner.receive(json.dumps(event))

    async def until(self, kind: str, timeout: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(timeout):
            while not (found := [e for e in self.events if e["type"] == kind]):
                self._arrived.clear()
                await self._arrived.wait()
        return found[-1]


Connect = Callable[..., Client]


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    clients: list[Client] = []

    def make(parts: Parts, **options: Any) -> Client:
        clients.append(Client(parts, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.runner.close()
        await client.runner.close()
        assert client.runner._tasks == {}


async def test_a_typed_turn_needs_a_voice_only(
    connect: Connect, tone_voice: Synthesiser
) -> None:
    client = connect(Parts(voice=tone_voice), options=QUICK)
    client.send(TYPED, {"type": "response.create"})
    response = (await client.until("response.done"))["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["transcript"] == HELLO
    audio = [e for e in client.events if e["type"] == "response.output_audio.delta"]
    assert len(audio) > 1


async def test_a_typed_turn_in_text_needs_nothing(connect: Connect) -> None:
    client = connect(Parts(), session={"output_modalities": ["text"]}, options=QUICK)
    client.send(TYPED, {"type": "response.create"})
    assert (await client.until("response.output_text.done"))["text"] == HELLO


async def test_without_a_voice_speech_fails_as_a_response(connect: Connect) -> None:
    client = connect(Parts())
    client.send(TYPED, {"type": "response.create"})
    response = (await client.until("response.done"))["response"]
    assert response["status"] == "failed"
    assert "no voice" in response["status_details"]["error"]["message"]


@attrs.frozen
class Broken:
    """A reply model, synthesiser and recogniser that raise the given errors."""

    error: Exception
    label: str = "broken"
    name: str = "broken"

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        raise self.error
        yield

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        yield bytes(960)
        raise self.error

    async def start(self) -> None:
        pass

    def listen(self, on_guess: Callable[[str], None]) -> Utterance:
        return self

    def feed(self, pcm16k: bytes) -> None:
        pass

    async def finish(self) -> str:
        raise self.error

    def drop(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (SynthesiserError, "the voice is hoarse"),
        (KeyError, "the reply could not be spoken"),
    ],
)
async def test_a_voice_that_breaks_is_a_failed_response(
    connect: Connect, kind: type[Exception], message: str
) -> None:
    """The text of an unexpected error does not reach the client."""
    client = connect(Parts(voice=Broken(kind("the voice is hoarse"))), options=QUICK)
    client.send(TYPED, {"type": "response.create"})
    response = (await client.until("response.done"))["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == message


async def test_a_mind_that_breaks_is_a_failed_response(connect: Connect) -> None:
    client = connect(Parts(mind=Broken(RuntimeError("bug"))))
    client.send({"type": "response.create"})
    response = (await client.until("response.done"))["response"]
    assert response["status_details"]["error"]["message"] == "no reply was found"


async def test_an_ear_that_breaks_is_a_failed_transcription(
    connect: Connect, append: Callable[[bytes], dict[str, Any]]
) -> None:
    client = connect(Parts(ear=Broken(RecogniserError("deaf"))), session=_by_hand())
    client.send(append(bytes(48_000)), {"type": "input_audio_buffer.commit"})
    failed = await client.until("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["message"] == "deaf"


def _by_hand() -> dict[str, Any]:
    hand = {"turn_detection": None, "transcription": {"model": "any"}}
    return {"audio": {"input": hand}}


async def test_cancelling_stops_the_voice(connect: Connect) -> None:
    stopped = asyncio.Event()

    class Endless:
        name = "endless"

        async def speak(
            self, text: str, *, voice: str | None = None
        ) -> AsyncGenerator[bytes]:
            try:
                while True:
                    yield bytes(960)
                    await asyncio.sleep(0.01)
            finally:
                stopped.set()

    client = connect(Parts(voice=Endless()))
    client.send({"type": "response.create"})
    await client.until("response.output_item.added")
    client.send({"type": "response.cancel"})
    await client.until("response.done")
    async with asyncio.timeout(1):
        await stopped.wait()


async def test_a_client_that_is_gone_does_not_break_the_session() -> None:
    def gone(frame: str) -> None:
        raise ConnectionError("nobody there")

    runner = SessionRunner(gone, Parts())
    runner.start()
    runner.receive("{}")
    await runner.close()
    runner.receive("{}")
    runner.hear(bytes(960))
    assert runner.next_audio() == b""


async def test_silence_is_sent_for_a_second_and_no_longer(
    connect: Connect, tone_voice: Synthesiser
) -> None:
    """At the start and after each reply; a silent packet costs as much as any.

    `on_sound` is called when there is audio again.
    """
    client = connect(
        Parts(voice=tone_voice), options=Options(media=True, pace=float("inf"))
    )

    def sent() -> list[bytes | None]:
        return [client.runner.next_audio() for _ in range(60)]

    silence = [b""] * 50 + [None] * 10
    woken: list[bool] = []
    client.runner.on_sound = lambda: woken.append(True)
    assert sent() == silence
    assert woken == []
    client.send(TYPED, {"type": "response.create"})
    await client.until("response.done")
    assert woken == [True]
    while client.runner.next_audio():
        pass
    assert sent() == [*silence[1:], None]


async def test_muted_audio_goes_neither_way(
    connect: Connect, tone_voice: Synthesiser
) -> None:
    """The call's events continue, as if its packets were lost."""
    mute = Fault(does=Mute(), events=("response.created",))
    heard: list[bytes] = []

    class Listening(Deaf):
        def __call__(self, pcm16k: bytes) -> float:
            heard.append(pcm16k)
            return 0.0

    client = connect(
        Parts(voice=tone_voice, detector=Listening),
        options=Options(media=True, pace=float("inf")),
        line=Faults((mute,)).line(1, "m", new_id),
    )
    client.runner.hear(bytes(96_000))
    before = len(heard)
    assert client.runner.next_audio() == b""
    client.send(TYPED, {"type": "response.create"})
    await client.until("response.done")
    client.runner.hear(bytes(96_000))
    assert len(heard) == before > 0
    async with asyncio.timeout(10):
        while "output_audio_buffer.stopped" not in [e["type"] for e in client.events]:
            assert client.runner.next_audio() is None
            await asyncio.sleep(0)


async def test_what_is_late_comes_by_itself(connect: Connect) -> None:
    """Even if nothing else happens in the session."""
    late = Fault(does=Late(0.05, 0.05), events=("session.created",))
    client = connect(Parts(), line=Faults((late,)).line(1, "m", new_id))
    client.send({"type": "input_audio_buffer.clear"})
    await client.until("session.created")
    types = [event["type"] for event in client.events]
    assert types == ["input_audio_buffer.cleared", "session.created"]


async def test_the_ear_gets_ready_where_somebody_may_speak(connect: Connect) -> None:
    """It loads its model, for 0.5 s, before the first utterance."""

    class Ready:
        started = 0

        async def start(self) -> None:
            self.started += 1

        def listen(self, on_guess: Callable[[str], None]) -> Utterance:
            raise AssertionError("nobody speaks")

        async def close(self) -> None:
            pass

    for session, started in ((None, 1), (PUSH_TO_TALK, 0)):
        ear = Ready()
        connect(Parts(ear=ear), session=session)
        await asyncio.sleep(0)
        assert ear.started == started


@pytest.fixture
async def parts() -> AsyncGenerator[Parts]:
    parts = built_in()
    assert parts.ear is not None
    await parts.ear.start()
    yield parts
    await parts.close()


async def _in_real_time(step: Callable[[], object], seconds: float) -> None:
    """Call ``step`` every 20 ms."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index in range(round(seconds / 0.02)):
        step()
        await asyncio.sleep(max(0.0, start + (index + 1) * 0.02 - loop.time()))


@pytest.mark.realtime
async def test_a_spoken_turn_with_the_real_parts(
    connect: Connect, parts: Parts, say: Callable[[str], Awaitable[bytes]]
) -> None:
    """Recognition, reply and speech, in the order of the protocol."""
    session = {"audio": {"input": {"transcription": {"model": "any"}}}}
    client = connect(parts, session=session, options=Options(media=True))
    question = bytes(24_000) + await say("Can you hear me?") + bytes(38_400)
    pieces = [question[n : n + 960] for n in range(0, len(question), 960)]
    played = bytearray()

    def step() -> None:
        client.runner.hear(pieces.pop(0) if pieces else bytes(960))
        played.extend(client.runner.next_audio() or b"")

    await _in_real_time(step, len(question) / 48_000 + 3)
    types = [event["type"] for event in client.events]
    completed = await client.until(
        "conversation.item.input_audio_transcription.completed"
    )
    assert "hear me" in completed["transcript"]
    response = (await client.until("response.done"))["response"]
    assert response["status"] == "completed"
    said = response["output"][0]["content"][0]["transcript"]
    assert said == "Yes, I can hear you well."
    assert types.index("input_audio_buffer.speech_stopped") < types.index(
        "response.created"
    )
    assert types[-1] == "output_audio_buffer.stopped"
    assert 1.0 < len(played) / 48_000 < 3.0


async def test_a_mind_may_wait_and_call(connect: Connect) -> None:
    """A wait delays the output after it."""
    mind = Giving((Say("One "), Wait(0.05), Say("moment."), Call("look", "{}")))
    client = connect(Parts(mind=mind), session=TEXT, options=QUICK)
    began = asyncio.get_running_loop().time()
    client.send(TYPED, {"type": "response.create"})
    output = (await client.until("response.done"))["response"]["output"]
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert [item["type"] for item in output] == ["message", "function_call"]
    assert output[0]["content"][0]["text"] == "One moment."


async def test_a_session_that_is_over_says_so(connect: Connect) -> None:
    """`on_over` is called after the last event."""
    over: list[tuple[int, str, str]] = []
    client: Client = connect(
        Parts(),
        options=Options(life=0.05),
        on_over=lambda code, reason: over.append(
            (code, reason, client.events[-1]["type"])
        ),
    )
    error = (await client.until("error"))["error"]
    assert error["code"] == "session_expired"
    assert over == [(1001, error["message"], "error")]
    client.send({"type": "response.create"})
    assert client.events[-1]["type"] == "error"


async def test_much_audio_does_not_keep_others_waiting(connect: Connect) -> None:
    """One append of the largest size, while another task measures delays."""
    client = connect(Parts(detector=Deaf), session=TEXT)
    pcm = bytes(MOST_AUDIO // 4 * 3)
    frame = json.dumps(append_of(pcm))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    await client.runner.accept(frame)
    task.cancel()
    assert turns > 1_000
    assert client.events[-1]["type"] == "session.created"
    client.send({"type": "input_audio_buffer.commit"})
    assert client.events[-1]["type"] == "error", "silence only"


async def test_more_audio_than_that_is_refused_whole(connect: Connect) -> None:
    client = connect(Parts(), session=PUSH_TO_TALK)
    much = bytes(MOST_AUDIO // 4 * 3 + 3)
    await client.runner.accept(json.dumps(append_of(much)))
    assert (await client.until("error"))["error"]["param"] == "audio"
    await client.runner.accept(json.dumps(append_of(bytes(16 * 1024 * 1024))))
    assert (await client.until("error"))["error"]["code"] == "invalid_event"
    good = append_of(bytes(300_000))["audio"]
    broken = {**append_of(b""), "audio": f"{good[:-4]}=AAA"}
    await client.runner.accept(json.dumps(broken))
    assert (await client.until("error"))["error"]["code"] == "invalid_value"
    client.send({"type": "input_audio_buffer.commit"})
    error = client.events[-1]["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert "0.00ms" in error["message"]


@pytest.mark.realtime
async def test_barge_in_with_the_real_parts(
    connect: Connect, parts: Parts, say: Callable[[str], Awaitable[bytes]]
) -> None:
    """Speech during a long reply silences it within 300 ms."""
    client = connect(parts, options=Options(media=True))
    count, again = (
        await say("Tell me the numbers from one to twenty."),
        await say("Can you hear me?"),
    )
    audio = bytes(24_000) + count + bytes(48_000 * 3)
    onset = len(audio) // 960
    audio += again + bytes(48_000 * 4)
    frames = [audio[n : n + 960] for n in range(0, len(audio), 960)]
    silent: list[bool] = []

    def step() -> None:
        client.runner.hear(frames[len(silent)])
        silent.append(not client.runner.next_audio())

    await _in_real_time(step, len(frames) * 0.02)
    assert not silent[onset], "the reply was playing"
    assert silent.index(True, onset) - onset <= 15
    [truncated] = [
        event
        for event in client.events
        if event["type"] == "conversation.item.truncated"
    ]
    types = [event["type"] for event in client.events]
    assert types.index("output_audio_buffer.started") < types.index(
        "output_audio_buffer.cleared"
    )
    assert truncated["audio_end_ms"] == pytest.approx(3000 - 700, abs=500)
    response = (await client.until("response.done"))["response"]
    [answer] = response["output"]
    assert answer["content"][0]["transcript"] == "Yes, I can hear you well."
