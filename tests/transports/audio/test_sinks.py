"""Audio sinks: the audio that they keep, pass on and drop."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.transports.audio.sinks import (
    BufferSink,
    CallbackSink,
    TrimmedSink,
    WavSink,
)
from duologue.transports.audio.sources import WavSource
from duologue.transports.contract import AudioSink
from duologue.transports.errors import MediaError

RATE = 24_000
GOOD = array("h", range(10)).tobytes()
SILENCE = array("h", [0, 3, -5] * 160).tobytes()
SOUND = array("h", [9_000, -9_000] * 240).tobytes()


def test_a_file_has_the_received_audio(tmp_path: Path) -> None:
    """The file is 24 kHz mono PCM16, with flushed audio, and without late audio."""
    path = tmp_path / "a.wav"
    with WavSink(path) as sink:
        sink.write(GOOD)
        sink.flush()
        sink.write(GOOD)
        assert sink.duration_ms == 0
    sink.close()
    sink.write(GOOD)
    with wave.open(str(path)) as file:
        form = file.getparams()[:4]
        frames = file.readframes(file.getnframes())
    assert (form, frames) == ((1, 2, RATE, 20), GOOD + GOOD)


def test_a_new_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """An existing file keeps its mode."""
    there = tmp_path / "there.wav"
    there.touch()
    there.chmod(0o640)
    for path, mode in ((tmp_path / "new.wav", 0o600), (there, 0o640)):
        WavSink(path).close()
        assert path.stat().st_mode & 0o777 == mode


def test_a_killed_process_leaves_a_file(tmp_path: Path) -> None:
    """Without a close, the header counts everything but the last second."""
    path = tmp_path / "a.wav"
    sink = WavSink(path)
    for _ in range(130):
        sink.write(bytes(960))
    left = tmp_path / "left.wav"
    left.write_bytes(path.read_bytes())
    sink.close()
    with wave.open(str(left)) as file:
        assert file.getnframes() == 100 * 480
    assert WavSource(left).duration_ms == 2000
    assert WavSource(path).duration_ms == sink.duration_ms == 2600


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message has the file and the reason in one line."""
    path = tmp_path / "none" / "a.wav"
    with pytest.raises(MediaError) as caught:
        WavSink(path)
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"


def test_a_full_disk_is_named() -> None:
    """Whether the write, the update of the header or the close fails."""
    with pytest.raises(MediaError, match=r"^/dev/full: cannot be written: No space"):
        WavSink("/dev/full")


def test_a_callback_gets_sound_and_flushes() -> None:
    """The application gets both; the flush callback is optional."""
    got: list[object] = []
    sink = CallbackSink(got.append, lambda: got.append("flush"))
    sink.write(GOOD)
    sink.flush()
    quiet = CallbackSink(got.append)
    quiet.flush()
    assert got == [GOOD, "flush"]


def test_a_buffer_keeps_everything() -> None:
    """The audio, also after a flush, and the number of flushes."""
    sink = BufferSink()
    sink.write(GOOD)
    sink.flush()
    sink.write(GOOD)
    assert (sink.pcm, sink.flushes) == (GOOD + GOOD, 1)


@given(st.lists(st.booleans()))
def test_silence_at_both_ends_is_dropped(frames: list[bool]) -> None:
    """Pauses in between are kept."""
    kept = BufferSink()
    sink = TrimmedSink(kept)
    for loud in frames:
        sink.write(SOUND if loud else SILENCE)
    loud_at = [index for index, loud in enumerate(frames) if loud]
    inner = frames[loud_at[0] : loud_at[-1] + 1] if loud_at else []
    assert bytes(kept.pcm) == b"".join(SOUND if loud else SILENCE for loud in inner)


def test_all_are_audio_sinks(tmp_path: Path) -> None:
    """Each implements the protocol."""
    buffer = BufferSink()
    with WavSink(tmp_path / "a.wav") as file:
        sinks = (file, buffer, CallbackSink(print), TrimmedSink(buffer))
        assert all(isinstance(sink, AudioSink) for sink in sinks)
