"""A stream can be read."""

from __future__ import annotations

from duologue.core import Record
from duologue.core.testing import Stream


def test_a_line_says_where_and_what() -> None:
    """Session, epoch, way and source; what is cut says so, audio is not shown."""
    audio = b'{"type":"input_audio_buffer.append","audio":"%s"}' % (b"A" * 100)
    long = b'{"type":"%s"}' % (b"a " * 140)
    stream = Stream(
        [
            Record.of(audio, seq=1, session="s", dir="out", epoch=2, src="browser"),
            Record.of(long, seq=2, session="s", dir="in"),
        ]
    )
    assert repr(stream).splitlines() == [
        "[",
        '  1. s#2 out (browser) {"type":"input_audio_buffer.append","audio":"… (100)"}',
        f"  2. s in {long[:240].decode()}… (51 more)",
        "]",
    ]


def test_a_long_one_says_how_much_is_left() -> None:
    """Not all of thousands of records."""
    record = Record.of(b"{}", seq=1, session="s", dir="in")
    assert repr(Stream([record] * 152)).splitlines()[-2:] == ["  … and 2 more", "]"]
