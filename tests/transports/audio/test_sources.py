"""Audio sources: the samples that they give, and the files that they refuse."""

from __future__ import annotations

import array
import asyncio
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.transports.audio.resample import convert
from duologue.transports.audio.sources import (
    CallbackSource,
    QueueSource,
    SilenceSource,
    WavSource,
)
from duologue.transports.contract import AudioSource
from duologue.transports.errors import MediaError

if TYPE_CHECKING:
    from tests.transports.conftest import Kit

RATE = 24_000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file of these chunks."""
    body = b"WAVE"
    for name, data in chunks:
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(
    tag: int, bits: int, channels: int = 1, rate: int = RATE
) -> tuple[bytes, bytes]:
    """A format chunk."""
    frame = channels * bits // 8
    fields = (tag, channels, rate, rate * frame, frame, bits)
    body = struct.pack("<HHIIHH", *fields)
    if tag == EXTENSIBLE:
        guid = struct.pack("<H", PCM) + bytes.fromhex("000000001000800000aa00389b71")
        body += struct.pack("<HHI", 22, bits, 0) + guid
    return b"fmt ", body


def s16(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def read_all(source: AudioSource) -> bytes:
    """All frames of a source."""
    whole = b""
    while part := source.read(480):
        whole += part
    return whole


# Files.


@pytest.mark.parametrize(
    ("form", "data"),
    [
        pytest.param(fmt(PCM, 8), bytes([128, 192, 0, 255]), id="8"),
        pytest.param(fmt(PCM, 16), s16(0, 16384, -32768, 32512), id="16"),
        pytest.param(
            fmt(PCM, 24),
            b"".join(
                v.to_bytes(3, "little", signed=True)
                for v in (0, 1 << 22, -(1 << 23), 32512 << 8)
            ),
            id="24",
        ),
        pytest.param(
            fmt(PCM, 32),
            struct.pack("<4i", 0, 1 << 30, -(1 << 31), 32512 << 16),
            id="32",
        ),
        pytest.param(
            fmt(FLOAT, 32), struct.pack("<4f", 0, 0.5, -1, 32512 / 32768), id="float"
        ),
        pytest.param(
            fmt(EXTENSIBLE, 16), s16(0, 16384, -32768, 32512), id="extensible"
        ),
    ],
)
def test_every_encoding_is_read(
    tmp_path: Path, form: tuple[bytes, bytes], data: bytes
) -> None:
    """Integers of four widths, floats and the extensible header are equal."""
    path = tmp_path / "a.wav"
    path.write_bytes(riff(form, (b"LIST", b"odd"), (b"data", data)))
    assert read_all(WavSource(path)) == s16(0, 16384, -32768, 32512)


@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000]),
    channels=st.integers(1, 6),
    encoding=st.sampled_from(
        [("u8", 1), ("s16", 2), ("s24", 3), ("s32", 4), ("f32", 4)]
    ),
    ms=st.integers(1, 300),
)
def test_the_duration_is_kept(
    rate: int, channels: int, encoding: tuple[str, int], ms: int
) -> None:
    """The duration does not depend on the format."""
    frames = rate * ms // 1000
    data = bytes(frames * channels * encoding[1])
    pcm = convert(data, encoding=encoding[0], channels=channels, rate=rate)
    assert len(pcm) // 2 == pytest.approx(frames * RATE / rate, abs=1)


@given(pairs=st.lists(st.tuples(*[st.integers(-32768, 32767)] * 2), max_size=50))
def test_stereo_is_averaged(pairs: list[tuple[int, int]]) -> None:
    """A mono sample is the rounded mean of the channels."""
    data = s16(*(value for pair in pairs for value in pair))
    mono = array.array("h", convert(data, encoding="s16", channels=2, rate=RATE))
    assert list(mono) == [round((left + right) / 2) for left, right in pairs]


@given(values=st.lists(st.integers(-32768, 32767), max_size=50), channels=st.just(3))
def test_equal_channels_come_out_unchanged(values: list[int], channels: int) -> None:
    """A mono recording in several channels is unchanged."""
    data = s16(*(value for value in values for _ in range(channels)))
    assert convert(data, encoding="s16", channels=channels, rate=RATE) == s16(*values)


@given(values=st.lists(st.floats(width=32), max_size=50))
def test_any_float_becomes_a_sample(values: list[float]) -> None:
    """Infinity is clipped and NaN is silence."""
    data = struct.pack(f"<{len(values)}f", *values)
    pcm = array.array("h", convert(data, encoding="f32", channels=1, rate=RATE))

    def expected(value: float) -> int:
        known = 0.0 if value != value else max(-1.0, min(1.0, value))
        return max(-32768, min(32767, round(known * 32768)))

    assert list(pcm) == [expected(value) for value in values]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_pitch_is_kept(kit: type[Kit], tmp_path: Path, rate: int) -> None:
    """A tone of another rate keeps its pitch, within 1 Hz."""
    path = tmp_path / "a.wav"
    samples = kit.tone(440 * RATE / rate, rate)  # 440 Hz when played at `rate`
    path.write_bytes(riff(fmt(PCM, 16, rate=rate), (b"data", samples)))
    source = WavSource(path)
    assert source.duration_ms == pytest.approx(1000, abs=1)
    assert kit.frequency(read_all(source)) == pytest.approx(440, abs=1.5)


def test_a_cut_off_file_gives_what_is_there(tmp_path: Path) -> None:
    """A killed writer leaves a wrong size and half a sample."""
    path = tmp_path / "a.wav"
    whole = riff(fmt(PCM, 16), (b"data", s16(*range(100))))
    path.write_bytes(whole[:-101])
    assert read_all(WavSource(path)) == s16(*range(49))


GOOD = s16(*range(10))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"ID3\x04" + bytes(99), "not a WAV file", id="mp3"),
        pytest.param(b"RIFF\0\0\0\0AVI " + bytes(99), "not a WAV file", id="avi"),
        pytest.param(b"RIFF", "not a WAV file", id="four bytes"),
        pytest.param(
            riff(), "the header ends early: no format chunk", id="nothing follows"
        ),
        pytest.param(
            riff(fmt(PCM, 16)), "the header ends early: no data chunk", id="no data"
        ),
        pytest.param(
            riff(fmt(PCM, 16), (b"data", GOOD))[:30],
            "the header ends early: its format chunk is cut off",
            id="cut in the format",
        ),
        pytest.param(
            riff((b"data", GOOD)),
            "its samples come before their format",
            id="format missing",
        ),
        pytest.param(
            riff(fmt(PCM, 16), (b"data", b"")),
            "it has no samples",
            id="no samples",
        ),
        pytest.param(
            riff(fmt(PCM, 16), (b"data", b"\1")),
            "it has no samples",
            id="half a sample",
        ),
        pytest.param(
            riff(fmt(6, 8), (b"data", GOOD)),
            "neither PCM of 8, 16, 24 or 32 bits nor float of 32: tag 0x0006, 8 bits",
            id="A-law",
        ),
        pytest.param(
            riff(fmt(PCM, 12), (b"data", GOOD)),
            "neither PCM of 8, 16, 24 or 32 bits nor float of 32: tag 0x0001, 12 bits",
            id="12 bits",
        ),
        pytest.param(
            riff(fmt(PCM, 16, channels=0), (b"data", GOOD)),
            "it has no channels",
            id="no channels",
        ),
        pytest.param(
            riff(fmt(PCM, 16, rate=1), (b"data", GOOD)),
            "1 Hz is not a usable sample rate",
            id="1 Hz",
        ),
    ],
)
def test_what_is_no_sound_is_named(tmp_path: Path, content: bytes, wrong: str) -> None:
    """The message has the file and the reason in one line."""
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        WavSource(path)
    assert str(caught.value) == f"{path}: {wrong}"


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    """A missing file, a directory and an invalid name."""
    for path, wrong in [
        (tmp_path / "none.wav", "no such file"),
        (tmp_path, "not a file"),
        (tmp_path / "a\0b", "cannot be read: embedded null byte"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ]:
        with pytest.raises(MediaError) as caught:
            WavSource(path)
        assert str(caught.value) == f"{path}: {wrong}"


@given(junk=st.binary(max_size=80), data=st.data())
def test_no_header_crashes_the_reader(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, data: st.DataObject
) -> None:
    """Any change to a valid file gives audio or a `MediaError`."""
    good = riff(fmt(PCM, 16), (b"data", GOOD))
    at = data.draw(st.integers(0, len(good)))
    path = tmp_path_factory.mktemp("junk") / "a.wav"
    path.write_bytes(good[:at] + junk + good[at + len(junk) :])
    try:
        said = str(WavSource(path).duration_ms)
    except MediaError as error:
        said = str(error)
    assert "\n" not in said


async def test_the_end_is_told(tmp_path: Path) -> None:
    """`ended` and `wait_ended` report the end after the last sample."""
    path = tmp_path / "a.wav"
    path.write_bytes(riff(fmt(PCM, 16), (b"data", GOOD)))
    source = WavSource(path)
    waiting = asyncio.create_task(source.wait_ended())
    assert source.read(9) == s16(*range(9))
    await asyncio.sleep(0)
    assert (source.ended, waiting.done()) == (False, False)
    assert source.read(9) == s16(9)
    assert source.ended
    await waiting
    assert source.read(9) == b""


# Other sources.


def test_silence_has_the_length_asked_for() -> None:
    """Silence has samples of zero."""
    assert SilenceSource().read(3) == bytes(6)


def test_a_callback_is_asked_for_samples() -> None:
    """The function gets the number of samples."""
    assert CallbackSource(lambda samples: b"\1\0" * samples).read(2) == b"\1\0\1\0"


@given(
    parts=st.lists(st.integers(0, 40)), reads=st.lists(st.integers(1, 40), max_size=20)
)
def test_a_queue_gives_what_was_pushed(parts: list[int], reads: list[int]) -> None:
    """In order and completely, below the limit."""
    source, pushed = QueueSource(), b""
    for number, size in enumerate(parts):
        part = s16(*[number] * size)
        pushed += part
        source.push(part)
    read = b"".join(source.read(samples) for samples in reads)
    assert read == pushed[: 2 * sum(reads)]
    assert source.dropped_ms == 0


def test_a_full_queue_drops_the_oldest() -> None:
    """The newest audio is kept; the dropped duration is counted."""
    source = QueueSource(limit_ms=2)
    source.push(s16(*range(48)))
    source.push(s16(*range(48, 96)))
    assert (source.buffered_ms, source.dropped_ms) == (2, 2)
    assert source.read(1000) == s16(*range(48, 96))
    assert source.buffered_ms == 0


def test_half_a_sample_is_refused() -> None:
    """An odd number of bytes would turn later audio into noise."""
    with pytest.raises(MediaError, match="3 bytes are not whole samples"):
        QueueSource().push(b"abc")


def test_a_queue_takes_from_other_threads() -> None:
    """A thread pushes while the loop reads: no sample is lost."""
    source, total = QueueSource(limit_ms=60_000), 20_000

    def push() -> None:
        for number in range(total):
            source.push(s16(number % 1000))

    thread = threading.Thread(target=push)
    thread.start()
    read = b""
    while len(read) < 2 * total:
        read += source.read(480)
    thread.join()
    assert read == s16(*(number % 1000 for number in range(total)))


def test_all_are_audio_sources(tmp_path: Path) -> None:
    """Each implements the protocol."""
    path = tmp_path / "a.wav"
    path.write_bytes(riff(fmt(PCM, 16), (b"data", GOOD)))
    sources = (WavSource(path), SilenceSource(), QueueSource(), CallbackSource(bytes))
    assert all(isinstance(source, AudioSource) for source in sources)
