"""Callers of a server in a separate process: packets received, and CPU time.

    python benchmarks/callers.py URL PID SESSIONS SECONDS KIND

KIND is ``echo`` (an `echoes` server), or a session of the local service: ``replies``
(turn detection off, consecutive long scripted replies), ``off`` (no replies), ``idle``
(no replies, and no audio from the caller), ``listening`` (turn detection on, silence)
or ``speaking`` (a question every four seconds). Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
import wave
from pathlib import Path
from typing import Any

import attrs
import httpx

from duologue.transports.drivers.webrtc.peer import Peer

_TICKS = os.sysconf("SC_CLK_TCK")
FRAME = 960
WARM_UP = 3.0
_COUNT = "Count to one hundred."


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children_of(pid: int) -> list[int]:
    """The child processes of a process."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@attrs.define(eq=False)
class Caller:
    """One session: its peer, the audio it sends, and the arrival times of packets."""

    kind: str
    sound: bytes
    at: int = 0
    times: list[float] = attrs.Factory(list)
    peer: Any = None

    async def connect(self, http: httpx.AsyncClient, url: str) -> None:
        """Connect to the server."""
        self.peer = Peer(
            on_message=self._on_message,
            on_packet=lambda _: self.times.append(time.monotonic()),
            next_audio=self.next_audio,
            on_closed=lambda reason: print(reason, file=sys.stderr),
            loopback=self.kind != "echo",
        )
        offer = await self.peer.offer()
        await self.peer.accept(await self._answer(http, url, offer))
        await asyncio.wait_for(self.peer.wait_open(), 30)

    async def _answer(self, http: httpx.AsyncClient, url: str, offer: str) -> str:
        if self.kind == "echo":
            reply = await http.post(
                f"{url}/offer", json={"sdp": offer, "type": "offer"}
            )
            reply.raise_for_status()
            answer: str = reply.json()["sdp"]
            return answer
        detection = {"type": "server_vad"} if self._listened_to else None
        session = {
            "type": "realtime",
            "model": "m",
            "audio": {"input": {"turn_detection": detection}},
        }
        reply = await http.post(
            f"{url}/realtime/calls",
            headers={"Authorization": "Bearer made-up"},
            files={"sdp": (None, offer), "session": (None, json.dumps(session))},
        )
        reply.raise_for_status()
        return reply.text

    @property
    def _listened_to(self) -> bool:
        return self.kind in ("listening", "speaking")

    def next_audio(self) -> bytes | None:
        if self.kind == "idle":
            return None
        frame = self.sound[self.at : self.at + FRAME]
        self.at = (self.at + FRAME) % len(self.sound)
        return frame

    def _on_message(self, message: str | bytes) -> None:
        if self.kind == "replies" and (
            b'"session.created"' in _bytes(message)
            or b'"output_audio_buffer.stopped"' in _bytes(message)
        ):
            item = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": _COUNT}],
            }
            self._say({"type": "conversation.item.create", "item": item})
            self._say({"type": "response.create"})

    def _say(self, event: dict[str, Any]) -> None:
        self.peer.send(json.dumps(event))


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def noise(seed: int, seconds: int) -> bytes:
    """Audio unique to this caller, so that caches do not help."""
    chance = random.Random(seed)
    block = chance.randbytes(48_000)
    quiet = bytes(b & 0x0F if n % 2 else b for n, b in enumerate(block))
    pieces = []
    for _ in range(seconds):
        cut = chance.randrange(0, len(quiet), 2)
        pieces.append(quiet[cut:] + quiet[:cut])
    return b"".join(pieces)


def question(number: int) -> bytes:
    """A spoken question every four seconds."""
    path = Path(__file__).parents[1] / "examples" / "question.wav"
    with wave.open(str(path), "rb") as file:
        speech = file.readframes(file.getnframes())
    whole = speech + bytes(4 * 48_000 - len(speech))
    cut = number * 9600 % len(whole)
    return whole[cut:] + whole[:cut]


def sound_of(kind: str, number: int) -> bytes:
    """The audio source of a kind of caller."""
    if kind == "speaking":
        return question(number)
    if kind in ("listening", "off"):
        return bytes(48_000)
    return noise(number, 20)


async def call(url: str, pid: int, sessions: int, seconds: float, kind: str) -> Any:
    """Connect all callers, wait until they run, then measure."""
    callers = [Caller(kind, sound_of(kind, n)) for n in range(sessions)]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        for caller in callers:
            await caller.connect(http, url)
    await asyncio.sleep(WARM_UP)
    for caller in callers:
        caller.times.clear()
    family = [pid, *children_of(pid)]
    before = [cpu_seconds(each) for each in family]
    own, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    spent = [cpu_seconds(each) - at for each, at in zip(family, before, strict=True)]
    result = {
        "server": 100 * spent[0] / took / sessions,
        "children": 100 * sum(spent[1:]) / took / sessions,
        "callers": 100 * (time.process_time() - own) / took / sessions,
        **heard(callers, took),
    }
    await asyncio.gather(*(caller.peer.close() for caller in callers))
    return result


def heard(callers: list[Caller], took: float) -> dict[str, float]:
    """Packets per second of the worst caller, and the gaps of all callers."""
    gaps = sorted(
        (b - a) * 1000
        for caller in callers
        for a, b in zip(caller.times, caller.times[1:], strict=False)
    )
    if not gaps:
        return {"rate": 0.0, "gap": 0.0}
    return {
        "rate": min(len(caller.times) for caller in callers) / took,
        "gap": statistics.quantiles(gaps, n=100)[-1],
    }


if __name__ == "__main__":
    url, pid, sessions, seconds, kind = sys.argv[1:]
    found = asyncio.run(call(url, int(pid), int(sessions), float(seconds), kind))
    print(json.dumps(found))
