"""The latency of a spoken turn over WebRTC, measured at the client, and its parts.

The service has its own process (`served`). The client sends recorded questions and
listens at its sink: audio above -40 dB counts, not events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
from gauge import Target, missing, row
from served import AUDIBLE

from duologue.core import SessionConfig
from duologue.core.config import TURN_DETECTION
from duologue.local.components import find_synthesiser
from duologue.local.interfaces import SynthesiserError
from duologue.transports import Client, Credentials, webrtc

__all__ = ["measure"]

Row = dict[str, Any]

#: Turns of each kind in each round.
TURNS, ROUNDS = 5, 3
QUESTIONS = (
    "Can you hear me?",
    "Good morning.",
    "Hello there.",
    "Thank you.",
    "What can you do?",
)
#: Its reply is a sentence of three seconds without a pause, so that the last audio
#: shows the time of the cut.
LONG = "What is your name?"
#: Marks of the service in their order, with their meanings.
STEPS = (
    ("heard", "the service has heard the last sound"),
    ("speech_stopped", "the silence is long enough: speech_stopped"),
    ("words", "the ear has the words"),
    ("reply", "the mind has the reply"),
    ("voice", "the voice has its first audio"),
    ("taken", "the track takes the first sound"),
)
_BYTES_PER_S = 48_000
#: Maximum seconds of silence inside a synthesised sentence.
_PAUSE = 0.5


@attrs.define
class Line:
    """The client's microphone and speaker, with the times of audible frames."""

    waiting: bytearray = attrs.Factory(bytearray)
    said: list[tuple[float, float]] = attrs.Factory(list)
    heard: list[tuple[float, float]] = attrs.Factory(list)

    def say(self, pcm: bytes) -> None:
        """Start to speak now."""
        self.waiting += pcm

    def read(self, samples: int) -> bytes:
        """Audio of the microphone: a frame is complete with its last sample."""
        pcm = bytes(self.waiting[: samples * 2])
        del self.waiting[: samples * 2]
        _note(self.said, pcm, time.monotonic() - samples * 2 / _BYTES_PER_S)
        return pcm

    def write(self, pcm: bytes) -> None:
        """Play a frame, starting now."""
        _note(self.heard, pcm, time.monotonic())

    def flush(self) -> None:
        """Do nothing: there is no playback buffer."""


def _note(times: list[tuple[float, float]], pcm: bytes, begins: float) -> None:
    """Store the times of the first and last audible sample of a frame."""
    loud = [
        index
        for index, sample in enumerate(memoryview(pcm).cast("h"))
        if abs(sample) > AUDIBLE
    ]
    if loud:
        first, last = (
            begins + index * 2 / _BYTES_PER_S for index in (loud[0], loud[-1])
        )
        times.append((first, last))


@attrs.define
class Marks:
    """The marks of the service."""

    times: dict[str, deque[float]] = attrs.Factory(dict)

    def add(self, what: str, at: float) -> None:
        """Store a mark."""
        self.times.setdefault(what, deque(maxlen=10_000)).append(at)

    def after(self, what: str, since: float) -> float | None:
        """The first mark of a kind after a time."""
        return next((at for at in self.times.get(what, ()) if at >= since), None)

    def last(self, what: str, until: float) -> float | None:
        """The last mark of a kind before a time."""
        times = reversed(self.times.get(what, deque()))
        return next((at for at in times if at <= until), None)


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[tuple[str, Marks]]:
    """The service in its own process: its base URL and a stream of its marks."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("served.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, marks = process.stdout, Marks()
    assert out is not None
    assert process.stdin is not None

    async def listen() -> None:
        while line := await out.readline():
            told = json.loads(line)
            marks.add(told["mark"], told["at"])

    base_url = json.loads(await out.readline())["base_url"]
    listening = asyncio.create_task(listen())
    try:
        yield base_url, marks
    finally:
        process.stdin.close()
        await process.wait()
        await listening


@attrs.define
class Found:
    """Latencies in ms, and the times of the steps since the end of speech."""

    answers: list[float] = attrs.Factory(list)
    steps: dict[str, list[float]] = attrs.Factory(lambda: {k: [] for k, _ in STEPS})
    barge_ins: list[float] = attrs.Factory(list)
    noticed: list[float] = attrs.Factory(list)


async def measure() -> list[Row]:
    """Two lengths of silence alternately, and barge-in, in one run."""
    targets = _targets()
    try:
        spoken = await _spoken((*QUESTIONS, LONG))
    except SynthesiserError as error:
        return [missing(target, what, str(error)) for target, what in targets]
    found = {500: Found(), 200: Found()}
    load = os.getloadavg()[0]
    async with (
        service() as (base_url, marks),
        Client(credentials=Credentials("made-up"), base_url=base_url) as client,
    ):
        for _ in range(ROUNDS):
            for silence_ms, kept in found.items():
                await _round(client, silence_ms, spoken, marks, kept)
    return _rows(found, load)


def _targets() -> list[tuple[Target, str]]:
    return [
        (
            Target("L1", 800, 700, "ms"),
            "end of speech to audible reply, 500 ms of silence, p50",
        ),
        (
            Target("L2", 500, 400, "ms"),
            "end of speech to audible reply, 200 ms of silence, p50",
        ),
        (
            Target("L3", 300, 250, "ms"),
            "barge-in: onset of the user's sound to silence of the reply, p50",
        ),
    ]


async def _spoken(texts: tuple[str, ...]) -> dict[str, bytes]:
    voice = find_synthesiser()
    return {
        text: b"".join([pcm async for pcm in voice.speak(text, voice="ash")])
        for text in texts
    }


async def _round(
    client: Client,
    silence_ms: int,
    spoken: dict[str, bytes],
    marks: Marks,
    found: Found,
) -> None:
    """A session with several turns, each followed by an interruption."""
    line = Line()
    detection = msgspec.structs.replace(TURN_DETECTION, silence_duration_ms=silence_ms)
    config = SessionConfig(turn_detection=detection)
    session = await client.start_session(
        config, transport=webrtc(source=line, sink=line)
    )
    await asyncio.sleep(1.0)
    for number in range(TURNS):
        question = QUESTIONS[number % len(QUESTIONS)]
        await _answer(line, spoken[question], marks, found)
        await _barge_in(line, spoken[LONG], spoken[question], marks, found)
    await client.close_session(session.id)


async def _answer(line: Line, pcm: bytes, marks: Marks, found: Found) -> None:
    """Ask a question and wait for the first audio of the reply."""
    line.said.clear()
    line.heard.clear()
    line.say(pcm)
    await _until(lambda: bool(line.heard) and not line.waiting)
    end, first = line.said[-1][1], line.heard[0][0]
    await _quiet(line)
    found.answers.append((first - end) * 1000)
    for mark, _ in STEPS:
        at = (
            marks.last(mark, first) if mark == "heard" else marks.after(mark, end - 0.1)
        )
        if at is not None:
            found.steps[mark].append((at - end) * 1000)


async def _barge_in(
    line: Line, long: bytes, over: bytes, marks: Marks, found: Found
) -> None:
    """Interrupt a long reply with a question."""
    line.heard.clear()
    line.say(long)
    await _until(lambda: bool(line.heard) and not line.waiting)
    await asyncio.sleep(0.4 + 0.13 * (len(found.barge_ins) % 5))
    line.said.clear()
    line.say(over)
    await _until(lambda: bool(line.said))
    onset = line.said[0][0]
    if onset - line.heard[-1][1] > _PAUSE:
        await _quiet(line)  # The recogniser misheard it; the reply was short.
        return
    await _until(lambda: marks.after("speech_started", onset) is not None)
    started = marks.after("speech_started", onset)
    assert started is not None
    # The reply to the interruption comes later than this.
    await asyncio.sleep(0.15)
    cut = len(line.heard)
    found.barge_ins.append((line.heard[-1][1] - onset) * 1000)
    found.noticed.append((started - onset) * 1000)
    await _until(lambda: len(line.heard) > cut)
    await _quiet(line)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def _quiet(line: Line) -> None:
    """Wait for a period of silence."""
    await _until(lambda: time.monotonic() - line.heard[-1][1] > 2 * _PAUSE)


def _rows(found: dict[int, Found], load: float) -> list[Row]:
    rows = []
    targets = _targets()
    for (target, what), silence_ms in zip(targets, found, strict=False):
        kept = found[silence_ms]
        rows.append(row(target, what, statistics.median(kept.answers)))
        rows.append(_plain("p95", _p95(kept.answers)))
        for mark, meaning in STEPS:
            if times := kept.steps[mark]:
                rows.append(_plain(meaning, statistics.median(times)))
        rows.append(_plain("audible at the client", statistics.median(kept.answers)))
    barge_ins = [ms for kept in found.values() for ms in kept.barge_ins]
    noticed = [ms for kept in found.values() for ms in kept.noticed]
    target, what = targets[2]
    rows.append(row(target, what, statistics.median(barge_ins)))
    rows.append(_plain("p95", _p95(barge_ins)))
    rows.append(
        _plain("the service notices: speech_started", statistics.median(noticed))
    )
    rows.append({"what": "load of the machine before", "value": round(load, 2)})
    return rows


def _plain(what: str, ms: float) -> Row:
    return {"what": f"      {what}, ms after", "value": round(ms)}


def _p95(times: list[float]) -> float:
    return sorted(times)[-1 - len(times) // 20]
