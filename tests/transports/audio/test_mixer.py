"""The mixer: mute, volume and taps."""

from __future__ import annotations

from array import array

import pytest

from duologue.transports.audio.mixer import FRAME_BYTES, Mixer
from duologue.transports.audio.sinks import BufferSink
from duologue.transports.audio.sources import QueueSource

#: The connection that reads.
ME = object()


def source(pcm: bytes) -> QueueSource:
    made = QueueSource()
    made.push(pcm)
    return made


def test_a_frame_is_filled_up_with_silence() -> None:
    """A frame always has 20 ms."""
    mixer = Mixer(source(b"\x01\x02" * 500), None)
    assert [mixer.read(ME), mixer.read(ME), Mixer(None, None).read(ME)] == [
        b"\x01\x02" * 480,
        b"\x01\x02" * 20 + bytes(920),
        bytes(FRAME_BYTES),
    ]


def test_muted_is_silence_and_the_source_goes_on() -> None:
    """Audio of a muted source is not sent later."""
    mixer = Mixer(source(b"\x01\x02" * 960), None)
    mixer.set_muted(True)
    muted = mixer.read(ME)
    mixer.set_muted(False)
    assert [muted, mixer.read(ME), mixer.read(ME)] == [
        bytes(FRAME_BYTES),
        b"\x01\x02" * 480,
        bytes(FRAME_BYTES),
    ]


def test_one_connection_has_the_source_until_it_ends() -> None:
    """A concurrent connection takes no frame from the first."""
    mixer = Mixer(source(b"\1\1" * 480 + b"\2\2" * 480 + b"\3\3" * 480), None)
    said: list[bytes] = []
    mixer.tap(said.append, lambda pcm: None)
    heir = object()
    before = [mixer.read(ME), mixer.read(heir), mixer.read(ME)]
    mixer.release(heir)
    mixer.release(ME)
    after = [mixer.read(heir), mixer.read(ME)]
    silence = bytes(FRAME_BYTES)
    one, two, three = (bytes([n, n]) * 480 for n in (1, 2, 3))
    assert before == [one, silence, two]
    assert after == [three, silence]
    assert said == [one, two, three]


def test_volume_scales_what_is_heard() -> None:
    """From silence to full volume; half a sample is dropped."""
    sink = BufferSink()
    mixer = Mixer(None, sink)
    pcm = array("h", [1000, -1000, 32767, -32768]).tobytes()
    for volume in (1, 0.5, 0):
        mixer.set_volume(volume)
        mixer.write(pcm)
    expected = [1000, -1000, 32767, -32768, 500, -500, 16383, -16384, 0, 0, 0, 0]
    assert list(array("h", sink.pcm)) == expected


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
def test_a_volume_is_from_0_to_1(volume: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Mixer(None, None).set_volume(volume)


def test_both_sides_can_be_listened_to() -> None:
    """Sent audio as sent, received audio before the volume."""
    said: list[bytes] = []
    heard: list[bytes] = []
    mixer = Mixer(source(b"\x01\x02" * 480), None)
    assert (mixer.has_source, mixer.has_output) == (True, False)
    mixer.tap(said.append, heard.append)
    mixer.set_volume(0)
    mixer.set_muted(True)
    mixer.read(ME)
    mixer.write(b"\x05\x06")
    assert (said, heard) == ([bytes(FRAME_BYTES)], [b"\x05\x06"])
    assert (mixer.has_source, mixer.has_output) == (True, True)


def test_flushing_reaches_the_sink() -> None:
    """Without a sink, a flush does nothing."""
    sink = BufferSink()
    Mixer(None, sink).flush()
    Mixer(None, None).flush()
    assert sink.flushes == 1
