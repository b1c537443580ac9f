"""Both sides of a transport's sound: turned down and listened to."""

from __future__ import annotations

from array import array

import pytest

from duologue.transports.audio.mixer import FRAME_BYTES, Sound
from duologue.transports.audio.sources import BufferSink, QueueSource

#: The connection that reads.
ME = object()


def source(pcm: bytes) -> QueueSource:
    made = QueueSource()
    made.push(pcm)
    return made


def test_a_frame_is_filled_up_with_silence() -> None:
    """Whatever a source gives, what goes out has 20 ms."""
    sound = Sound(source(b"\x01\x02" * 500), None)
    assert [sound.read(ME), sound.read(ME), Sound(None, None).read(ME)] == [
        b"\x01\x02" * 480,
        b"\x01\x02" * 20 + bytes(920),
        bytes(FRAME_BYTES),
    ]


def test_muted_is_silence_and_the_source_goes_on() -> None:
    """What was said while muted is not said later."""
    sound = Sound(source(b"\x01\x02" * 960), None)
    sound.set_muted(True)
    muted = sound.read(ME)
    sound.set_muted(False)
    assert [muted, sound.read(ME), sound.read(ME)] == [
        bytes(FRAME_BYTES),
        b"\x01\x02" * 480,
        bytes(FRAME_BYTES),
    ]


def test_one_connection_has_the_source_until_it_ends() -> None:
    """The next one that stands beside it takes no frame away from it."""
    sound = Sound(source(b"\1\1" * 480 + b"\2\2" * 480 + b"\3\3" * 480), None)
    said: list[bytes] = []
    sound.tap(said.append, lambda pcm: None)
    heir = object()
    before = [sound.read(ME), sound.read(heir), sound.read(ME)]
    sound.release(heir)
    sound.release(ME)
    after = [sound.read(heir), sound.read(ME)]
    silence = bytes(FRAME_BYTES)
    one, two, three = (bytes([n, n]) * 480 for n in (1, 2, 3))
    assert before == [one, silence, two]
    assert after == [three, silence]
    assert said == [one, two, three]


def test_volume_scales_what_is_heard() -> None:
    """From silence to as it came; odd bytes of half a sample are no sound."""
    sink = BufferSink()
    sound = Sound(None, sink)
    pcm = array("h", [1000, -1000, 32767, -32768]).tobytes()
    for volume in (1, 0.5, 0):
        sound.set_volume(volume)
        sound.write(pcm)
    expected = [1000, -1000, 32767, -32768, 500, -500, 16383, -16384, 0, 0, 0, 0]
    assert list(array("h", sink.pcm)) == expected


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
def test_a_volume_is_from_0_to_1(volume: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Sound(None, None).set_volume(volume)


def test_both_sides_can_be_listened_to() -> None:
    """As the service hears it, and as it came before the volume."""
    said: list[bytes] = []
    heard: list[bytes] = []
    sound = Sound(source(b"\x01\x02" * 480), None)
    assert (sound.speaks, sound.is_heard) == (True, False)
    sound.tap(said.append, heard.append)
    sound.set_volume(0)
    sound.set_muted(True)
    sound.read(ME)
    sound.write(b"\x05\x06")
    assert (said, heard) == ([bytes(FRAME_BYTES)], [b"\x05\x06"])
    assert (sound.speaks, sound.is_heard) == (True, True)


def test_flushing_reaches_the_sink() -> None:
    """A transport without one has nothing to drop."""
    sink = BufferSink()
    Sound(None, sink).flush()
    Sound(None, None).flush()
    assert sink.flushes == 1
