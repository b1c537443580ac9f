"""The input audio buffer: base64, audio formats, manual commits."""

from __future__ import annotations

import base64

import pytest

from duologue.local.engine.audio_buffers import MOST_AUDIO, InputBuffer, decoded
from duologue.local.schema.refusal import Refusal

BIG = bytes(range(256)) * 4_000


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("data", [b"", b"a", b"ab", BIG, BIG + b"a"])
def test_the_steps_add_up(data: bytes) -> None:
    pieces = list(decoded(as_text(data)))
    assert b"".join(pieces) == data
    assert all(len(piece) <= 256 * 1024 for piece in pieces)


@pytest.mark.parametrize(
    "text", ["a", "a===", "####", "aa=a", "ü", "a\nb=", "YQ==YQ=="]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="base64"):
        list(decoded(text))


def test_padding_in_the_middle_of_much_is_refused() -> None:
    """Decoders disagree about the audio after the padding."""
    step = 256 * 1024
    good = "A" * step
    assert len(b"".join(decoded(good + good))) == 2 * step // 4 * 3
    with pytest.raises(Refusal, match="base64"):
        list(decoded(good[:-2] + "==" + good))


def test_there_is_a_most() -> None:
    """The limit counts base64 characters, so that the audio fits in a frame."""
    most = bytes(MOST_AUDIO // 4 * 3)
    assert sum(map(len, decoded(as_text(most)))) == len(most)
    with pytest.raises(Refusal) as raised:
        list(decoded(as_text(most + b"more")))
    assert raised.value.code == "string_above_max_length"


def test_half_a_sample_waits_for_the_other() -> None:
    intake = InputBuffer(None)
    assert intake.samples(b"\x01") == b""
    assert intake.samples(b"\x02\x03") == b"\x01\x02"
    intake.clear()
    assert intake.samples(b"\x04\x05") == b"\x04\x05"


def test_the_oldest_goes_where_nobody_commits() -> None:
    """The buffer keeps seven minutes."""
    intake = InputBuffer(None)
    minute = 60 * 48_000
    for n in range(9):
        intake.keep(bytes([n]) * minute)
    kept = b"".join(intake.take())
    assert len(kept) == 7 * minute
    assert (kept[0], kept[-1]) == (2, 8)


def test_too_little_stays_where_it_is() -> None:
    intake = InputBuffer(None)
    intake.keep(bytes(4_798))
    with pytest.raises(Refusal) as raised:
        intake.take()
    assert raised.value.code == "input_audio_buffer_commit_empty"
    intake.keep(bytes(2))
    assert len(b"".join(intake.take())) == 4_800
