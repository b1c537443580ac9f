"""Level meter, fan-out and shared devices of a session."""

from __future__ import annotations

import struct

from duologue.adapters.audio import FLOOR_DBFS
from duologue.adapters.cli.shared.audio_sinks import (
    FanOutSink,
    FocusGate,
    LevelMeter,
    MeteredSource,
)
from duologue.transports import BufferSink, QueueSource


def loud(ms: int = 100) -> bytes:
    """Audio at full scale."""
    return struct.pack("<h", -32768) * (24 * ms)


def test_the_level_falls_without_audio() -> None:
    """Missing audio counts as silence after 0.3 s."""
    now = [5.0]
    meter = LevelMeter(lambda: now[0])
    levels = [meter.peak_dbfs]
    meter.write(loud())
    for now[0] in (5.0, 5.2, 5.4):
        levels.append(meter.peak_dbfs)

    assert levels == [FLOOR_DBFS, 0.0, 0.0, FLOOR_DBFS]


def test_a_metered_source_passes_its_audio_on() -> None:
    source, meter = QueueSource(), LevelMeter()
    source.push(loud(20))
    metered = MeteredSource(source, meter)

    assert metered.read(480) == loud(20)
    assert meter.peak_dbfs == 0.0
    assert metered.read(480) == b""


def test_only_the_session_with_the_focus_has_the_microphone() -> None:
    """And the speaker: the other sessions neither play nor flush."""
    microphone, speaker = QueueSource(), BufferSink()
    focus = [1]

    def gate(number: int) -> FocusGate:
        return FocusGate(microphone, speaker, lambda: focus[0] == number)

    first, second = gate(1), gate(2)
    microphone.push(loud(40))
    for focus[0] in (1, 2):
        read = [one.read(480) for one in (first, second)]
        assert read == ([loud(20), b""] if focus[0] == 1 else [b"", loud(20)])
        for pcm, one in ((b"\1\1", first), (b"\2\2", second)):
            one.write(pcm)
            one.flush()

    assert (speaker.pcm, speaker.flushes) == (b"\1\1\2\2", 2)


def test_a_fan_out_sink_writes_to_all_sinks() -> None:
    sinks = BufferSink(), BufferSink()
    both = FanOutSink(*sinks)
    both.write(b"\1\1")
    both.flush()

    assert [(sink.pcm, sink.flushes) for sink in sinks] == [(b"\1\1", 1)] * 2
