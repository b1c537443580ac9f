"""Pacing, encoding and decoding of Opus, with a fake clock."""

from __future__ import annotations

import array
import asyncio
import itertools
import math
from types import SimpleNamespace

import av
import pytest

from duologue.transports.drivers.webrtc import opus as _opus
from duologue.transports.drivers.webrtc.opus import (
    CATCH_UP,
    OpusDecoder,
    OpusReceiver,
    OpusSender,
    Pacer,
)


class Clock:
    """A clock that only sleeping advances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(_opus, "time", SimpleNamespace(monotonic=lambda: self.now))
        fake = SimpleNamespace(sleep=self.sleep, Event=asyncio.Event)
        monkeypatch.setattr(_opus, "asyncio", fake)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_frames_are_due_each_20_ms_without_drift(clock: Clock) -> None:
    """Work between frames does not accumulate."""
    pacer = Pacer()
    due = []
    for _ in range(1000):
        index = await pacer.next()
        due.append((index, round(clock.now - 100.0, 6)))
        clock.now += 0.0137
    assert due == [(index, round(index * 0.02, 6)) for index in range(1000)]


async def test_a_short_stall_is_made_up_for(clock: Clock) -> None:
    """Late frames follow at once, and no number is skipped."""
    pacer = Pacer()
    await pacer.next()
    clock.now += 0.02 * CATCH_UP
    assert [await pacer.next() for _ in range(CATCH_UP + 1)] == [1, 2, 3, 4, 5, 6]
    assert round(clock.now - 100.0, 6) == 0.12


async def test_a_long_stall_is_skipped(clock: Clock) -> None:
    """The numbers skip ahead, so no burst follows."""
    pacer = Pacer()
    await pacer.next()
    clock.now += 2.001
    assert [await pacer.next() for _ in range(2)] == [100, 101]
    assert round(clock.now - 100.0, 6) == 2.02


async def test_packets_are_stamped_by_their_number(clock: Clock) -> None:
    """480 samples a frame, from zero, at 24 kHz; a gap after a stall."""
    speaker = OpusSender(lambda: b"\1\0" * 480)
    packets = [await speaker.next(), await speaker.next()]
    clock.now += 1.001
    packets.append(await speaker.next())
    stamps = [(packet.pts, packet.time_base) for packet in packets]
    assert [pts for pts, _ in stamps] == [0, 480, 51 * 480]
    assert {(base.numerator, base.denominator) for _, base in stamps if base} == {
        (1, 24_000)
    }


@pytest.mark.parametrize("pcm", [b"", b"\1", b"\1\0" * 100, bytes(5000)])
async def test_any_length_makes_a_packet(clock: Clock, pcm: bytes) -> None:
    """Short audio is padded, long audio is cut."""
    assert (await OpusSender(lambda: pcm).next()).size > 0


async def test_a_source_that_fails_is_silence(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged once, and the source not called again."""
    calls = []

    def fail() -> bytes:
        calls.append(1)
        raise RuntimeError("no microphone")

    speaker = OpusSender(fail)
    assert [(await speaker.next()).pts for _ in range(3)] == [0, 480, 960]
    assert len(calls) == 1
    assert [record.message for record in caplog.records] == [
        "the audio source failed; silence is sent from now on"
    ]


async def test_while_a_source_gives_none_nothing_is_sent(clock: Clock) -> None:
    """It is not called until `wake`; later audio has the right time."""
    given = iter([b"", None, None, b""])
    asked: list[float] = []

    def next_audio() -> bytes | None:
        asked.append(clock.now)
        return next(given)

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    speaker = OpusSender(next_audio)
    assert (await speaker.next()).pts == 0
    coming = asyncio.create_task(speaker.next())
    await settle()
    assert len(asked) == 2
    speaker.wake()
    await settle()
    assert len(asked) == 3
    clock.now += 1.0
    speaker.wake()
    packet = await coming
    assert packet.pts == round((clock.now - 100.0) / 0.02) * 480


async def test_a_receiver_that_fails_gets_no_more(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged once; invalid packets are not delivered."""
    calls = []

    def fail(pcm: bytes) -> None:
        calls.append(len(pcm))
        raise RuntimeError("no speaker")

    listener = OpusReceiver(fail)
    listener.receive(b"\xff" * 10)
    for packet in await packets(3):
        listener.receive(packet)
    assert len(calls) == 1
    assert [record.message for record in caplog.records] == [
        "the audio callback failed; no more audio is decoded"
    ]


async def test_packets_are_heard_as_24_khz_mono(clock: Clock) -> None:
    """All samples but those that codec and filter hold back at first."""
    heard = bytearray()
    listener = OpusReceiver(heard.extend)
    for packet in await packets(50):
        listener.receive(packet)
    assert len(heard) / 2 == pytest.approx(50 * 480, abs=200)


async def test_stereo_is_heard_too() -> None:
    """Browsers and plain aiortc send stereo."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, "stereo", "s16"
    heard = bytearray()
    listener = OpusReceiver(heard.extend)
    for number in range(50):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(b"\0\x10\0\x10" * 960)
        frame.sample_rate, frame.pts = 48_000, number * 960
        for packet in codec.encode(frame):
            listener.receive(bytes(packet))
    assert len(heard) / 2 == pytest.approx(50 * 480, abs=200)


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\xff" * 50, bytes(1500)])
async def test_what_is_no_opus_does_no_harm(clock: Clock, packet: bytes) -> None:
    """Later packets are decoded."""
    decoder = OpusDecoder()
    decoder.decode(packet)
    heard = b"".join(map(decoder.decode, await packets(10)))
    assert len(heard) / 2 == pytest.approx(10 * 480, abs=200)
    assert len(decoder.decode(bytes([0x48, 0]) * 10)) >= 0


async def test_what_is_decoded_is_what_was_said(clock: Clock) -> None:
    """A tone keeps its pitch and its loudness."""
    pcm = array.array(
        "h",
        (int(9000 * math.sin(2 * math.pi * 440 * n / 24_000)) for n in range(24_000)),
    ).tobytes()
    frames = [pcm[at : at + 960] for at in range(0, len(pcm), 960)]
    speaker = OpusSender(iter(frames).__next__)
    decoder = OpusDecoder()
    heard = b"".join(
        [decoder.decode(bytes(await speaker.next())) for _ in range(len(frames))]
    )
    wave = array.array("h", heard[4800:])
    rises = sum(a < 0 <= b for a, b in itertools.pairwise(wave))
    assert rises * 24_000 / len(wave) == pytest.approx(440, abs=10)
    assert max(wave) == pytest.approx(9000, rel=0.2)


async def packets(count: int) -> list[bytes]:
    """This many packets of audio."""
    speaker = OpusSender(lambda: b"\1\x10" * 480)
    return [bytes(await speaker.next()) for _ in range(count)]
