"""The clock of the packets, without waiting for it."""

from __future__ import annotations

from types import SimpleNamespace

import av
import pytest

from duologue.transports import _opus
from duologue.transports._opus import CATCH_UP, Listener, Pacer, Speaker


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(_opus, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(_opus, "asyncio", SimpleNamespace(sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_frames_are_due_each_20_ms_without_drift(clock: Clock) -> None:
    """Work between the frames does not add up."""
    pacer = Pacer()
    due = []
    for _ in range(1000):
        index = await pacer.next()
        due.append((index, round(clock.now - 100.0, 6)))
        clock.now += 0.0137
    assert due == [(index, round(index * 0.02, 6)) for index in range(1000)]


async def test_a_short_stall_is_made_up_for(clock: Clock) -> None:
    """A few frames late: they follow at once, and no number is left out."""
    pacer = Pacer()
    await pacer.next()
    clock.now += 0.02 * CATCH_UP
    assert [await pacer.next() for _ in range(CATCH_UP + 1)] == [1, 2, 3, 4, 5, 6]
    assert round(clock.now - 100.0, 6) == 0.12


async def test_a_long_stall_is_skipped(clock: Clock) -> None:
    """The numbers jump to the present, so that no burst follows."""
    pacer = Pacer()
    await pacer.next()
    clock.now += 2.001
    assert [await pacer.next() for _ in range(2)] == [100, 101]
    assert round(clock.now - 100.0, 6) == 2.02


async def test_packets_are_stamped_by_their_number(clock: Clock) -> None:
    """480 samples a frame, from zero, in units of 24 kHz; a gap after a stall."""
    speaker = Speaker(lambda: b"\1\0" * 480)
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
    """Too short is filled with silence, too long is cut."""
    assert (await Speaker(lambda: pcm).next()).size > 0


async def test_a_source_that_fails_is_silence(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, with its trace, and not asked again."""
    calls = []

    def fail() -> bytes:
        calls.append(1)
        raise RuntimeError("no microphone")

    speaker = Speaker(fail)
    assert [(await speaker.next()).pts for _ in range(3)] == [0, 480, 960]
    assert len(calls) == 1
    assert [record.message for record in caplog.records] == [
        "the source of audio failed: silence from here on"
    ]


def test_a_receiver_that_fails_gets_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once; what is not sound is not handed on at all."""
    calls = []

    def fail(pcm: bytes) -> None:
        calls.append(len(pcm))
        raise RuntimeError("no speaker")

    listener = Listener(fail)
    for _ in range(3):
        listener.hear(_frame())
    listener.hear("no frame")
    assert len(calls) == 1
    assert [record.message for record in caplog.records] == [
        "the receiver of audio failed and gets no more"
    ]


def test_frames_are_heard_as_24_khz_mono() -> None:
    """Half as many samples of one channel, but for the filter's first few."""
    heard = bytearray()
    listener = Listener(heard.extend)
    for _ in range(50):
        listener.hear(_frame())
    assert len(heard) / 2 == pytest.approx(50 * 480, abs=40)


def _frame() -> object:
    """What aiortc's decoder gives: 20 ms of 48 kHz stereo."""
    frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
    frame.planes[0].update(bytes(960 * 4))
    frame.sample_rate = 48_000
    return frame
