"""Playback in real time, and reports of the played duration."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from duologue.transports.audio.mixer import Mixer
from duologue.transports.audio.sinks import BufferSink, CallbackSink
from duologue.transports.drivers.websocket import playback as _playback
from duologue.transports.drivers.websocket.playback import Playback

Heard = list[tuple[str, int, int]]


def ms(count: int, value: bytes = b"\x01\x00") -> bytes:
    return value * 24 * count


@contextlib.asynccontextmanager
async def playing(sound: Mixer) -> AsyncIterator[tuple[Playback, Heard]]:
    heard: Heard = []
    playback = Playback(sound, lambda *report: heard.append(report))
    task = asyncio.create_task(playback.run())
    yield playback, heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_silent(playback: Playback) -> None:
    async with asyncio.timeout(20):
        while playback.waiting_ms:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)


async def test_parts_follow_each_other_without_a_gap() -> None:
    """All audio is played; the beginning and end of parts are reported."""
    sink = BufferSink()
    async with playing(Mixer(None, sink)) as (playback, heard):
        playback.add("a", 0, ms(50))
        playback.add("a", 1, ms(30, b"\x02\x00"))
        playback.add("b", 0, ms(45, b"\x03\x00"))
        assert playback.waiting_ms == 125
        await until_silent(playback)
    assert sink.pcm == ms(50) + ms(30, b"\x02\x00") + ms(45, b"\x03\x00")
    ends = [("a", 0, 50), ("a", 1, 30), ("b", 0, 45)]
    assert heard == [
        each for name, part, ms in ends for each in ((name, part, 0), (name, part, ms))
    ]


async def test_sound_that_comes_in_pieces_is_one_part() -> None:
    """Cut anywhere, also within a sample, and with pauses."""
    sink = BufferSink()
    pcm = bytes(range(1, 201)) * 24
    async with playing(Mixer(None, sink)) as (playback, heard):
        for start in range(0, len(pcm), 1001):
            playback.add("a", 0, pcm[start : start + 1001])
            await asyncio.sleep(0.025)
        await until_silent(playback)
    assert sink.pcm == pcm
    assert heard[-1] == ("a", 0, 100)


async def test_half_a_sample_at_the_end_is_dropped() -> None:
    """It does not delay later audio."""
    sink = BufferSink()
    async with playing(Mixer(None, sink)) as (playback, _):
        playback.add("a", 0, ms(20) + b"\x09")
        playback.add("b", 0, ms(20))
        await until_silent(playback)
    assert sink.pcm == ms(40)


async def test_stopping_all_drops_what_waits_and_what_comes_late() -> None:
    """The reports so far stay."""
    sink = BufferSink()
    async with playing(Mixer(None, sink)) as (playback, heard):
        playback.add("a", 0, ms(1000))
        playback.add("b", 0, ms(1000))
        await asyncio.sleep(0.1)
        playback.report()
        playback.report()
        playback.stop()
        length = len(sink.pcm)
        playback.add("a", 0, ms(100))
        await asyncio.sleep(0.1)
        assert playback.waiting_ms == 0
    assert len(sink.pcm) == length
    assert sink.flushes == 1
    [began, (item, part, told)] = heard
    assert began == ("a", 0, 0)
    assert (item, part) == ("a", 0)
    assert told in range(20, 1000)


async def test_stopping_one_lets_the_others_be_heard() -> None:
    sink = BufferSink()
    async with playing(Mixer(None, sink)) as (playback, _):
        playback.add("a", 0, ms(1000))
        playback.add("b", 0, ms(40, b"\x02\x00"))
        await asyncio.sleep(0)
        playback.stop("a")
        await until_silent(playback)
    assert sink.pcm.endswith(ms(40, b"\x02\x00"))
    assert len(sink.pcm) < len(ms(200))


async def test_a_sink_that_fails_ends_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is logged once, and the audio counts as played, so that replies end."""

    def fail(pcm: bytes | None = None) -> None:
        raise RuntimeError("mine")

    async with playing(Mixer(None, CallbackSink(fail))) as (playback, heard):
        playback.add("a", 0, ms(100))
        await until_silent(playback)
        playback.add("b", 0, ms(100))
        await until_silent(playback)
        playback.stop()
    assert heard == [("a", 0, 0), ("a", 0, 100), ("b", 0, 0), ("b", 0, 100)]
    assert caplog.text.count("the audio sink failed") == 1


async def test_a_sink_whose_flush_fails_is_not_used_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error does not reach the event that stops the audio."""

    def fail() -> None:
        raise RuntimeError("mine")

    heard_pcm: list[bytes] = []
    sink = CallbackSink(heard_pcm.append, on_flush=fail)
    async with playing(Mixer(None, sink)) as (playback, heard):
        playback.stop("a")
        playback.add("b", 0, ms(20))
        await until_silent(playback)
    assert (heard_pcm, heard) == ([], [("b", 0, 0), ("b", 0, 20)])
    assert caplog.text.count("the audio sink failed") == 1


async def test_a_stall_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stall of the process, audio continues in real time."""
    monkeypatch.setattr(_playback, "_CATCH_UP", 0.0)
    loop = asyncio.get_running_loop()
    times: list[float] = []
    sound = Mixer(None, CallbackSink(lambda pcm: times.append(loop.time())))
    async with playing(sound) as (playback, _):
        playback.add("a", 0, ms(100))
        await asyncio.sleep(0.03)
        end = loop.time() + 0.2
        while loop.time() < end:
            pass
        await until_silent(playback)
    assert times[-1] - times[-2] > 0.01
