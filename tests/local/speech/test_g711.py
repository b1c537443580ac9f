"""The G.711 codec: the tables (ITU-T G.711, tables 1a and 2a) and the streams."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from duologue.local.speech.g711 import Writer, decode, encode, reader
from duologue.transports.audio.resample import Resampler

#: Codes and their samples, with both signs: the ends and the middle of the scale.
CODES = {
    "audio/pcmu": {0xFF: 0, 0x7F: 0, 0x80: 32_124, 0x00: -32_124, 0xFE: 8, 0xEF: 132},
    "audio/pcma": {0xD5: 8, 0x55: -8, 0xAA: 32_256, 0x2A: -32_256, 0xB5: 8_448},
}


@pytest.mark.parametrize(("kind", "table"), CODES.items())
def test_codes_are_decoded_to_their_samples(kind: str, table: dict[int, int]) -> None:
    pcm = decode(bytes(table), kind)
    assert list(struct.unpack(f"<{len(table)}h", pcm)) == list(table.values())


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_samples_are_encoded_to_the_nearest_code(kind: str) -> None:
    """So decoding and encoding keeps each code, except the second zero of mu-law."""
    known = sorted(struct.unpack("<256h", decode(bytes(range(256)), kind)))
    samples = range(-32_768, 32_768, 7)
    coded = decode(encode(struct.pack(f"<{len(samples)}h", *samples), kind), kind)
    for sample, near in zip(
        samples, struct.unpack(f"<{len(samples)}h", coded), strict=True
    ):
        assert abs(sample - near) == min(abs(sample - each) for each in known)


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_a_stream_keeps_its_length_and_loudness(
    kind: str, tone: Callable[[int], bytes]
) -> None:
    """Encode 24 kHz to G.711 and decode it again."""
    writer = Writer(kind, Resampler)
    pcm = tone(1000)
    pieces = [writer.write(pcm[n : n + 960]) for n in range(0, len(pcm), 960)]
    coded = b"".join([*pieces, writer.flush()])
    assert len(coded) == 8_000
    back = reader(kind, Resampler)(coded)
    peak = max(memoryview(back).cast("h"))
    assert peak == pytest.approx(max(memoryview(pcm).cast("h")), rel=0.1)


@pytest.fixture
def tone() -> Callable[[int], bytes]:
    """Makes a tone of 500 Hz as PCM16 at 24 kHz; the argument is its length in ms."""
    period = [0, 2588, 5000, 7071, 8660, 9659, 10000, 9659, 8660, 7071, 5000, 2588]
    wave = period + [-each for each in period]
    whole = [each for each in wave for _ in (0, 1)]
    return lambda ms: struct.pack("<48h", *whole) * (ms // 2)
