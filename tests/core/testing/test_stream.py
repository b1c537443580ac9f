"""A stream is readable in a failure message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.core import Record
from duologue.core.testing import Service, Stream, to_records
from duologue.core.testing.service_frames import message
from duologue.core.testing.stream import direction, drawn, recorded

RECORD = Record.of(b"{}", seq=1, session="s", dir="in")


def test_the_fields_of_a_line() -> None:
    """A line has the session, epoch, direction, source and the shortened frame."""
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


def test_a_long_stream_is_shortened() -> None:
    """Only the first records of a long stream are shown."""
    record = Record.of(b"{}", seq=1, session="s", dir="in")
    assert repr(Stream([record] * 152)).splitlines()[-2:] == ["  … and 2 more", "]"]


def test_the_end_of_a_frame_is_shown() -> None:
    """The end of a long frame is shown, because it has the usage."""
    service = Service()
    item = message("item_1", "assistant", [{"type": "output_text", "text": "a " * 900}])
    service.end("resp_1", [item])
    line = repr(to_records(service.frames))

    assert '"id":"resp_1","status":"completed"' in line
    assert '"total_tokens":3,"input_tokens":2,"output_tokens":1}}}' in line
    assert len(line) < 500


@pytest.mark.parametrize("records", [[], [RECORD], iter([RECORD]), Stream([RECORD])])
def test_records_make_a_stream(records: Any) -> None:
    """Any iterable of records is accepted."""
    assert recorded(records) in ([], [RECORD])


@pytest.mark.parametrize("records", [None, 3, "x", b"x", [RECORD, {}]])
def test_other_arguments_raise_type_error(records: Any) -> None:
    """The error says which argument is accepted."""
    with pytest.raises(TypeError, match="a sequence of records"):
        recorded(records)


@pytest.mark.parametrize("frame", [3, "x", None, ["x"]])
def test_an_invalid_frame_raises_type_error(frame: Any) -> None:
    """An invalid frame raises a short error."""
    with pytest.raises(TypeError, match=r"^a frame is a dict or bytes, not "):
        to_records([frame])


def test_records_of_frames_that_are_bytes() -> None:
    """Bytes that are not JSON give a malformed record."""
    [record] = to_records([b"\xff"])

    assert (record.dir, record.event.type) == ("in", "malformed")


def test_directions_and_epochs_of_frames() -> None:
    """The direction and the epoch follow from the types of the frames."""
    connecting = {"type": "duologue.connecting"}
    frames = [connecting, {"type": "response.create"}, connecting, {"type": "error"}]
    records = to_records(frames, session="a", start=5.0)

    assert [(record.dir, record.epoch) for record in records] == [
        ("local", 0),
        ("out", 0),
        ("local", 1),
        ("in", 1),
    ]
    assert direction(b"\xff") == "in"
    assert [record.at for record in records] == [5.1, 5.2, 5.3, 5.4]


@settings(max_examples=5, database=None)
@given(drawn([RECORD]), drawn(st.just(Stream([RECORD]))))
def test_streams_are_drawn(one: Stream, other: Stream) -> None:
    """A stream is drawn from a recorded one or from a strategy."""
    assert one == other == [RECORD]
