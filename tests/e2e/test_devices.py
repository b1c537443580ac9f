"""Microphone and speaker on a machine without a sound card.

Real PortAudio, WebRTC, speech recognition and synthesis; only the sound card is
PulseAudio's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.adapters.audio import can_process

from .. import closed_set
from .sound_server import PACKAGES, SoundServer, missing, sound_server
from .test_spoken_turn import CANDIDATES, REPLY, meant, spoken_by_the_voice

# In real time; the sound server stutters if other work runs.
pytestmark = [pytest.mark.realtime, pytest.mark.deep]

ROOT = Path(__file__).parents[2]
Talk = Callable[..., Awaitable["Talking"]]


@pytest.fixture
async def sound(tmp_path: Path) -> AsyncIterator[SoundServer]:
    """A sound server; with ``CI=true`` a missing one is a failure."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            raise RuntimeError(f"{reason} is missing: apt-get install {PACKAGES}")
        pytest.skip(f"{reason} is missing: apt-get install {PACKAGES}")
    async with sound_server(tmp_path) as server:
        yield server


class Talking:
    """``duologue talk --mic --local``, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._printed = bytearray()

    async def until_printed(self, *words: str, timeout: float = 30) -> str:
        """The output, as soon as it contains these words in this order."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout):
            while not _in_order(text := self._printed.decode(errors="replace"), words):
                part = await self.process.stdout.read(4_096)
                assert part, f"it ended after {text!r}"
                self._printed += part
        return text

    async def stop(self) -> tuple[int, str, str]:
        """Press Ctrl-C: exit status, output, and errors without ALSA's."""
        self.process.send_signal(signal.SIGINT)
        return await self.ended()

    async def ended(self) -> tuple[int, str, str]:
        async with asyncio.timeout(15):
            out, err = await self.process.communicate()
        status = self.process.returncode
        assert status is not None
        # ALSA prints underruns of a busy machine; they are counted too.
        lines = [line for line in err.decode().splitlines() if "ALSA lib" not in line]
        return status, (self._printed + out).decode(), "\n".join(lines)


def _in_order(text: str, words: tuple[str, ...]) -> bool:
    at = 0
    for word in words:
        at = text.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True


@pytest.fixture
async def talk(sound: SoundServer) -> AsyncIterator[Talk]:
    """``await talk("--no-aec")``: the command, as soon as it listens."""
    running: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str) -> Talking:
        roots = ("core", "transports", "local", "adapters")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "duologue", "talk", "--mic", "--local"),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                **sound.env,
                "PYTHONPATH": os.pathsep.join(str(ROOT / root) for root in roots),
            },
        )
        running.append(process)
        talking = Talking(process)
        if "--json" not in arguments:
            await talking.until_printed("speak; press Ctrl-C to stop")
        return talking

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.wait()


def said(printed: str) -> list[str]:
    """The lines of the summary; the user's line is mapped to the nearest question."""
    summary = printed.partition("\nsession ")[2]
    lines = []
    for line in summary.splitlines():
        who, _, text = line.strip().partition(": ")
        if who == "you":
            lines.append(f"you: {meant(text)}")
        elif who.startswith("assistant"):
            lines.append(f"assistant: {text}")
    return lines


@pytest.mark.usefixtures("flite")
async def test_from_a_microphone_to_a_speaker(
    sound: SoundServer, talk: Talk, spoken: Callable[[Path], bytes], question: Path
) -> None:
    """A question at the microphone gets a reply from the speaker.

    Microphone, track, service, track, speaker: the reply is complete and at its speed,
    and other audio is not mistaken for it.
    """
    talking = await talk()
    async with sound.listening() as heard:
        await sound.say(spoken(question))
        await talking.until_printed("(speech detected)", "you:", REPLY)
        await until_quiet(heard)
    status, printed, errors = await talking.stop()

    assert (status, errors) == (0, "")
    assert said(printed) == ["you: can you hear me", f"assistant: {REPLY}"]
    reply = trimmed(bytes(heard))
    assert closed_set.decode(reply, CANDIDATES) == REPLY
    assert closed_set.lasts(reply, trimmed(await spoken_by_the_voice(REPLY)))
    backwards = memoryview(reply).cast("h")[::-1].tobytes()
    assert closed_set.decode(backwards, CANDIDATES) != REPLY


async def until_quiet(heard: bytearray, seconds: float = 1.2) -> None:
    """Return after audio and then silence of this length: text is ahead of audio."""
    size = int(seconds * 48_000)
    async with asyncio.timeout(40):
        while not trimmed(bytes(heard)) or trimmed(bytes(heard[-size:])):
            await asyncio.sleep(0.1)


def trimmed(pcm: bytes) -> bytes:
    """The audio from the first to the last audible sample."""
    samples = memoryview(pcm[: len(pcm) & ~1]).cast("h")
    loud = [n for n, sample in enumerate(samples) if abs(sample) > 200]
    return samples[loud[0] : loud[-1] + 1].tobytes() if loud else b""


#: The long reply that a service interrupts if it hears itself.
COUNTING = (
    "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, "
    "thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty."
)


@pytest.mark.usefixtures("flite")
@pytest.mark.skipif(
    not can_process() and os.environ.get("CI") != "true", reason="livekit is missing"
)
async def test_the_echo_of_the_speaker_is_not_heard(
    sound: SoundServer, talk: Talk, spoken: Callable[[Path], bytes], count: Path
) -> None:
    """With the speaker's echo in the microphone, the reply plays to its end."""
    await sound.echo()
    talking = await talk()
    async with sound.listening() as heard:
        await sound.say(spoken(count))
        await talking.until_printed("assistant")
        await until_quiet(heard)
    status, printed, _ = await talking.stop()
    assert status == 0
    asked, answered = said(printed)
    assert asked == "you: tell me the numbers from one to twenty"
    assert answered == f"assistant: {COUNTING}"


async def test_without_cancellation_it_is(
    sound: SoundServer, talk: Talk, spoken: Callable[[Path], bytes], count: Path
) -> None:
    """The control: with the same echo, the reply interrupts itself."""
    await sound.echo()
    talking = await talk("--no-aec")
    await sound.say(spoken(count))
    await talking.until_printed("(speech detected)", "assistant", "(speech detected)")
    status, printed, _ = await talking.stop()
    assert status == 0
    assert "[interrupted after" in printed


async def test_what_the_devices_did_is_in_the_json(
    sound: SoundServer, talk: Talk
) -> None:
    """Names, losses and the peak level, which identify a silent microphone."""
    talking = await talk("--json")
    await asyncio.sleep(3.0)
    status, printed, errors = await talking.stop()
    assert (status, errors) == (0, "")
    audio: dict[str, Any] = json.loads(printed)["audio"]
    assert audio.pop("loudest_dbfs") < -60
    names = {name: audio.pop(name) for name in ("input", "output", "echo_cancellation")}
    assert names == {
        "input": "default",
        "output": "default",
        "echo_cancellation": can_process(),
    }
    assert sorted(audio) == [
        *("input_overruns", "input_underruns"),
        *("output_dropped_ms", "output_underruns", "output_xruns"),
    ]
    assert all(isinstance(count, int) for count in audio.values())


async def test_a_device_that_goes_away_ends_the_talk(
    sound: SoundServer, talk: Talk
) -> None:
    """If the device or its server goes away, one line names it; the status is 1."""
    talking = await talk()
    await sound.kill()
    status, printed, errors = await talking.ended()
    assert status == 1
    assert errors.splitlines()[-1] == "duologue: default: the device is gone"
    assert "(closed)" in printed
