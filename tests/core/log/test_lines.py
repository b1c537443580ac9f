"""Writing and reading the lines of a log."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    LogError,
    Record,
    SessionKind,
    Store,
    events,
    fold,
    read_log,
    to_line,
)
from duologue.core.events.base import Malformed
from duologue.core.log.lines import RAW_LIMIT
from duologue.core.testing.stream import Stream

from ..strategies import HOSTILE, enough, hostile, legal
from ..talk import Service, audio, to_record, to_records


def read(data: bytes, **how: Any) -> list[Record]:
    return list(read_log(data.splitlines(keepends=True), **how))


def prefix(data: bytes) -> tuple[list[Record], int | None]:
    """The records before the first invalid line, and its number."""
    found: list[Record] = []
    try:
        found.extend(read_log(data.split(b"\n")))
    except LogError as error:
        return found, error.line
    return found, None


def short_log() -> list[bytes]:
    service = Service()
    service.created()
    service.typed("hellö")
    service.reply("hi", " there", spoken=False)
    records = to_records([*service.frames[:6], b"\xff\xfe", *service.frames[6:9]])
    return [to_line(record) for record in records]


@given(legal(2))
def test_round_trip(stream: Stream) -> None:
    """With the audio kept, a log gives the same records back."""
    data = b"".join(to_line(record, keep_audio=True) for record in stream)

    assert stream == read(data)


@given(hostile())
def test_the_fold_is_the_same_from_the_log(stream: Stream) -> None:
    """A log without audio folds to the same state, even with malformed frames."""
    data = b"".join(to_line(record) for record in stream)

    assert fold(stream) == fold(read(data))


@given(st.binary() | st.text(st.characters(exclude_categories=())), st.booleans())
def test_any_frame_makes_one_line(frame: bytes | str, keep: bool) -> None:
    """Any frame is written as one line of JSON."""
    line = to_line(to_record(frame), keep_audio=keep)

    assert line[-1:] == b"\n"
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)


def test_the_line_format() -> None:
    """A line has its keys in a fixed order and a checksum of the bytes before it."""
    record = Record.of(
        b'{"type":"response.dreamt"}',
        seq=3,
        session="s",
        dir="in",
        at=1.5,
        epoch=2,
        src="sideband",
    )
    body = (
        b'{"v":1,"seq":3,"at":1.5,"session":"s","epoch":2,"dir":"in","src":"sideband",'
        b'"event":{"type":"response.dreamt"}'
    )

    assert b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body)) == to_line(record)


def test_a_flipped_byte_ends_the_log() -> None:
    """A changed byte makes its line invalid; all lines before it are read."""
    lines = short_log()
    data = b"".join(lines)
    whole = read(data)
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            line = data[:at].count(b"\n")
            found, failed = prefix(changed)

            assert whole[:line] == found
            assert line + 1 == failed


def test_a_log_cut_off_anywhere() -> None:
    """Complete lines are read, and the error names a partial one."""
    lines = short_log()
    data = b"".join(lines)
    whole = read(data)
    for at in range(len(data)):
        begun = data[:at].count(b"\n")
        rest = data[:at].rpartition(b"\n")[2]
        complete = rest + b"\n" == lines[begun]
        found, failed = prefix(data[:at])

        assert whole[: begun + complete] == found
        assert (None if complete or not rest else begun + 1) == failed


def test_foreign_lines() -> None:
    """Lines without a session or ``seq`` get the given session and the line number."""
    data = b'{"dir":"in","event":{"type":"error"}}\n\n{"event":{"type":"error"},"at":2}'
    error = events.Error(error=events.ErrorDetail())

    assert [
        Record(seq=1, session="f", dir="in", event=error, frame=b'{"type":"error"}'),
        Record(
            seq=3, session="f", dir="in", event=error, frame=b'{"type":"error"}', at=2.0
        ),
    ] == read(data, session="f")


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        (b"null", events.Disconnected(expected=True)),
        (b"{}", events.Disconnected(expected=True)),
        (b'{"code":1000}', events.Disconnected(code=1000, expected=True)),
        (
            b'{"code":1001,"reason":"expired"}',
            events.Disconnected(code=1001, reason="expired"),
        ),
        (b'{"code":"x","reason":5}', events.Disconnected()),
    ],
)
def test_close_lines(close: bytes, expected: events.Disconnected) -> None:
    """A close line becomes the local fact `Disconnected`."""
    (record,) = read(b'{"close":%s}\n' % close)

    assert ("local", expected) == (record.dir, record.event)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"v":2,"dir":"sideways"}', "version 2, this duologue reads up to 1"),
        (b'{"dir":"in","v":2,"event":{"type":"error"}}', "version 2"),
        (b'{"dir":"sideways","event":{}}', "not a record"),
        (b'{"type":"session.created","session":{}}\n', "an event by itself"),
        (b'{"dir":"in","type":"x"}\n', "holds no event"),
        (b"[]\n", "a JSON list, not a record"),
        (b"\0\0", "NUL bytes, not a record"),
        (b'{"dir":"in"}\n', "holds no event"),
        (b'{"raw":"*"}\n', "raw is not base64"),
        (b"\xff\n", "not a record"),
        (b'{"dir":"in","at":1e999,"event":{}}\n', "not a record"),
        (b'{"event":' + b"[" * 100_000 + b"\n", "not a record"),
        (b'{"v":1,"event":{"type":"error"}\n', "cut off before its checksum"),
        (b'{"v":1,"event":{"type":"err', "cut off before its checksum"),
        (b'{"v":1,"event":{}}{"v":1,"event":{}}\n', "cut off before its checksum"),
        (b"{\n", "not a record"),
        (b'{"v":"1","event":{"type":"error"}}\n', "not a record"),
        (b'{"v":1,"event":{},"crc":"', "cut off in its checksum"),
        (b'{"v":1,"event":{},"crc":"0000', "cut off in its checksum"),
        (b'{"v":1,"event":{},"crc":"00000000"}\n', "changed since it was written"),
        (b'{"v":1,"event":{},"crc":"5D3B1F64"}\n', "changed since it was written"),
    ],
)
def test_lines_that_cannot_be_read(line: bytes, message: str) -> None:
    """The error is one line of text with the number of the invalid line."""
    data = b'{"event":{"type":"error"}}\n' + line
    if line.startswith(b'{"v":2'):
        data = data.rstrip(b"\n")
        body = line[:-1]
        data = b'{"event":{"type":"error"}}\n%s,"crc":"%08x"}' % (
            body,
            zlib.crc32(body),
        )
    found, failed = prefix(data)
    with pytest.raises(LogError, match=message) as raised:
        read(data)

    assert (len(found), failed) == (1, 2)
    assert "\n" not in str(raised.value)


def test_malformed_frames_keep_64_kib() -> None:
    """The first 64 KiB are written in base64, with the full size in bytes."""
    frame = b"\xff" * (RAW_LIMIT + 5)
    line = json.loads(to_line(to_record(frame)))
    (record,) = read(to_line(to_record(frame)))

    assert (frame[:RAW_LIMIT], len(frame)) == (
        base64.b64decode(line["raw"]),
        line["size"],
    )
    assert isinstance(record.event, Malformed)
    assert len(frame) == record.event.size


def test_malformed_stays_malformed() -> None:
    """A malformed frame stays malformed, even if the kept part could be parsed."""
    frame = b'{"type":"error"}' + b" " * (2 << 20)
    record = to_record(frame)
    (again,) = read(to_line(record))

    assert isinstance(record.event, Malformed)
    assert fold([record]) == fold([again])


def test_line_breaks_between_tokens() -> None:
    """A frame with line breaks between its tokens is written as one line."""
    frame = b'{\r\n "type": "error",\n "error": {"message": "a\\nb"}\n}'
    (record,) = read(to_line(to_record(frame)))

    assert events.Error(error=events.ErrorDetail(message="a\nb")) == record.event


def test_audio_is_left_out() -> None:
    """The audio field is empty, its size is kept, and the state is the same."""
    service = Service()
    service.reply("a", "b")
    records = to_records(service.frames)
    data = b"".join(map(to_line, records))
    (delta, *_) = [r for r in read(data) if r.audio_bytes]

    assert audio(480).encode() not in data
    assert (
        delta.audio_bytes,
        b'"delta":""' if b'"delta":""' in delta.frame else delta.frame,
    ) == (480, b'"delta":""')
    assert fold(records) == fold(read(data))
    assert (
        sum(
            part.audio_bytes
            for item in fold(records).sessions["s"].items.values()
            for part in item.parts
        )
        == 960
    )


def test_a_log_of_a_translation_reads_as_one() -> None:
    """After `session.created`, shared event types decode as translation events."""
    frames = [
        {"type": "session.created", "session": {"type": "translation"}},
        {"type": "session.updated", "session": {"id": "s"}},
    ]
    data = b"".join(map(to_line, to_records(frames)))

    assert [events.TranslationSessionCreated, events.TranslationSessionUpdated] == [
        type(record.event) for record in read(data)
    ]


#: Events that set the kind of a session, or whose class depends on it.
GREETINGS: list[Any] = [
    {"type": f"session.{word}", "session": session}
    for word in ("created", "updated")
    for session in (
        *({"type": kind, "id": "sess_1"} for kind in SessionKind),
        *({"id": "sess_1"}, {}, {"audio": {"output": {"language": "fr"}}}),
    )
]


OTHERS: list[Any] = [
    *({"type": "duologue.forgotten"}, {"type": "duologue.connecting"}),
    *({"type": "session.input_transcript.delta", "delta": "a"}, {"type": "odd"}, {}),
]


steps = st.tuples(
    st.sampled_from([*GREETINGS, *OTHERS]),
    st.sampled_from([None, None, "e", "1:e"]),
    st.sampled_from(["", "", "in", "out", "local"]),
    st.sampled_from([0, 0, 1]),
)


def logged(store: Store, frames: Iterable[tuple[Any, Any, int]]) -> list[Record]:
    """The records that a store makes, read back from their log."""
    lines = [
        to_line(store.feed("s", frame, at=1.0, dir=way, epoch=epoch))
        for frame, way, epoch in frames
    ]
    return list(read_log(lines))


@enough
@given(st.lists(steps, max_size=8))
def test_a_log_folds_to_what_was_live(taken: list[Any]) -> None:
    """A log folds to the live state, for every sequence of session kinds."""
    store = Store()
    found = logged(
        store,
        (
            (
                {**frame, "event_id": event_id},
                way or ("local" if "duologue" in str(frame) else "in"),
                epoch,
            )
            for frame, event_id, way, epoch in taken
        ),
    )

    assert fold(found) == store.state


@given(HOSTILE)
def test_a_log_of_a_careless_service_folds_to_what_was_live(stream: Stream) -> None:
    """A log of hostile events folds to the live state."""
    store = Store()
    frames = ((record.frame, record.dir, record.epoch) for record in stream)

    assert fold(logged(store, frames)) == store.state


def test_a_session_that_comes_again_as_another_one() -> None:
    """A session that was forgotten is no longer a translation."""
    store = Store()
    names = ("session.created", "duologue.forgotten", "session.updated")
    translation = {"type": "translation"}
    found = logged(
        store,
        [
            ({"type": names[0], "session": translation}, "in", 0),
            ({"type": names[1]}, "local", 0),
            ({"type": names[2], "session": {"audio": {}}}, "in", 0),
        ],
    )

    assert isinstance(found[2].event, events.SessionUpdated)
    assert fold(found) == store.state


def test_a_log_that_does_not_begin_at_its_beginning() -> None:
    """The caller gives the session kind of a partial log."""
    line = to_line(to_record({"type": "session.updated", "session": {}}))
    (plain,) = read_log([line])
    (told,) = read_log([line], kind=SessionKind.TRANSLATION)

    assert isinstance(plain.event, events.SessionUpdated)
    assert isinstance(told.event, events.TranslationSessionUpdated)
    with pytest.raises(ValueError, match="dream"):
        read_log([line], kind="dream")  # type: ignore[arg-type]


def test_a_version_that_nobody_reads_any_more() -> None:
    """The error names the line and its version."""
    with pytest.raises(LogError, match="line 1: version 0 cannot be read any more"):
        read(b'{"seq":1,"v":0,"dir":"in","event":{"type":"error"}}\n')


def test_a_record_at_no_time() -> None:
    """A record without a time is written without ``at``."""
    record = to_record({"type": "duologue.tick"}, at=None)
    line = to_line(record)

    assert "at" not in json.loads(line)
    assert [record] == read(line)


def test_a_line_of_an_older_version_of_another_shape() -> None:
    """An older version is named even if its line has another shape."""
    with pytest.raises(LogError, match="line 1: version 0 cannot be read any more"):
        read(b'{"dir":["in"],"event":{},"v":0}\n')


def test_lines_may_be_text() -> None:
    """Lines can be text, with or without a byte order mark."""
    line = '{"dir":"in","event":{"type":"error"}}\n'

    assert list(read_log([line])) == list(read_log([line.encode()]))
    assert list(read_log(["\ufeff" + line])) == list(read_log([line]))


@pytest.mark.parametrize(
    "path", ["session.jsonl", b"session.jsonl", Path("session.jsonl")]
)
def test_a_path_is_no_log(path: Any) -> None:
    """A path raises an error that suggests to open it."""
    with pytest.raises(TypeError, match="open"):
        list(read_log(path))


ERROR = b'"dir":"in","event":{"type":"error"}'


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":1,%s}' % ERROR,
        b'{"v": 1, "seq": 7, %s}' % ERROR,
        b'{%s,"v":1}' % ERROR,
        b"{%s}" % ERROR,
        b'  {"v":1,%s}  ' % ERROR,
        b'\xef\xbb\xbf{"v":1,%s}' % ERROR,
        b'{"v":1,%s}\r' % ERROR,
        b'{"v":1,"v":1,%s}' % ERROR,
        b'{"v":1,%s,"note":"12345678"}' % ERROR,
        b'{"v":1,%s,"crc":null}' % ERROR,
        b'{"v":1,%s,"crc":5}' % ERROR,
        b'{"v": 1, %s, "crc": "00000000"}' % ERROR,
        b'{"v":1,"crc":"00000000",%s}' % ERROR,
    ],
)
def test_a_line_without_a_checksum_is_unchecked(line: bytes) -> None:
    """A complete object without a checksum of its bytes is accepted and counted."""
    whole = short_log()
    reader = read_log([whole[0], b"\n", line + b"\n", whole[1], line])
    found = list(reader)

    assert [record.event.type for record in found[1::2]] == ["error", "error"]
    assert (len(found), reader.unchecked) == (4, 2)


def test_the_lines_of_to_line_are_checked() -> None:
    """With any line break, or none."""
    lines = [line.rstrip(b"\n") for line in short_log()]
    for end in (b"\n", b"\r\n", b""):
        reader = read_log([line + end for line in lines])
        assert (len(list(reader)), reader.unchecked) == (len(lines), 0)


@pytest.mark.parametrize("name", ["brc", "src", "Crc", "crd"])
def test_a_checksum_under_another_name_was_changed(name: str) -> None:
    """A line that ends with its checksum under another name is not unchecked."""
    line = short_log()[0].replace(b'"crc"', b'"%s"' % name.encode())
    with pytest.raises(LogError, match="line 1: changed"):
        list(read_log([line]))


@given(legal(2), st.data())
def test_a_torn_line_is_never_unchecked(stream: Stream, data: st.DataObject) -> None:
    """A beginning of a line is an error, with or without a checksum in the line."""
    line = to_line(data.draw(st.sampled_from(list(stream))))
    bare = line[: -len(',"crc":"00000000"}\n')] + b"}\n"
    for whole in (line, bare):
        assert len(list(read_log([whole]))) == 1
        at = data.draw(st.integers(1, len(whole) - 2))
        for end in (b"", b"\n"):
            with pytest.raises(LogError, match="line 1: "):
                list(read_log([whole[:at] + end]))


def test_a_log_with_a_name() -> None:
    """The error of a log that has a name begins with it; records before it are read."""
    reader = read_log([*short_log()[:2], b"[]\n"], source="my.jsonl")
    assert len([next(reader), next(reader)]) == 2
    with pytest.raises(LogError, match=r"^my\.jsonl: line 3: a JSON list") as caught:
        next(reader)
    assert caught.value.line == 3
