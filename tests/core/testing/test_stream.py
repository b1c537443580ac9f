"""A stream can be read."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record
from duologue.core.testing import Service, Stream, to_records
from duologue.core.testing.stream import recorded
from duologue.core.testing.wire_messages import message

RECORD = Record.of(b"{}", seq=1, session="s", dir="in")


def test_a_line_says_where_and_what() -> None:
    """Session, epoch, way and source; what is cut says so, audio is not shown."""
    audio = b'{"type":"input_audio_buffer.append","audio":"%s"}' % (b"A" * 100)
    long = b'{"type":"%s"}' % (b"a " * 220)
    stream = Stream(
        [
            Record.of(audio, seq=1, session="s", dir="out", epoch=2, src="browser"),
            Record.of(long, seq=2, session="s", dir="in"),
        ]
    )
    assert repr(stream).splitlines() == [
        "[",
        '  1. s#2 out (browser) {"type":"input_audio_buffer.append","audio":"… (100)"}',
        f"  2. s in {long[:240].decode()}… (51 more) …{long[-160:].decode()}",
        "]",
    ]


def test_a_long_one_says_how_much_is_left() -> None:
    """Not all of thousands of records."""
    record = Record.of(b"{}", seq=1, session="s", dir="in")
    assert repr(Stream([record] * 152)).splitlines()[-2:] == ["  … and 2 more", "]"]


def test_the_end_of_a_frame_is_shown() -> None:
    """What a response cost stands behind all that it said."""
    service = Service()
    item = message("item_1", "assistant", [{"type": "output_text", "text": "a " * 900}])
    service.end("resp_1", [item])
    line = repr(to_records(service.frames))

    assert '"id":"resp_1","status":"completed"' in line
    assert '"usage":{"total_tokens":3,"input_tokens":2,"output_tokens":1}}}' in line
    assert len(line) < 500


@pytest.mark.parametrize("records", [[], [RECORD], iter([RECORD]), Stream([RECORD])])
def test_records_make_a_stream(records: Any) -> None:
    """However they come."""
    assert recorded(records) in ([], [RECORD])


@pytest.mark.parametrize("records", [None, 3, "x", b"x", [RECORD, {}]])
def test_what_is_no_record_is_refused(records: Any) -> None:
    """In words that say what is wanted."""
    with pytest.raises(TypeError, match="a sequence of records"):
        recorded(records)
