"""Log files."""

from __future__ import annotations

from pathlib import Path

import pytest

from duologue.core import Record, Store
from duologue.transports import LogError
from duologue.transports.drivers.recording.log_file import LogWriter, read_log_file

FRAMES = (
    '{"type":"session.created","event_id":"1","session":{"type":"realtime"}}',
    '{"type":"new.thing","event_id":"2","words":"ßßß"}',
    '{"type":"session.created","event_id":',
)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[Record]]:
    """A log with three records, the last one malformed."""
    store = Store()
    records = [store.feed("me", frame, at=float(i)) for i, frame in enumerate(FRAMES)]
    writer = LogWriter(tmp_path / "me.jsonl")
    for record in records:
        writer.write(record)
    writer.close()
    writer.close()
    return writer.path, records


def test_what_was_written_is_read(written: tuple[Path, list[Record]]) -> None:
    """Each record is read back completely and in order."""
    path, records = written
    read = list(read_log_file(path))
    assert [(r.seq, r.at, r.frame) for r in read] == [
        (r.seq, r.at, r.frame) for r in records
    ]


def test_every_record_is_on_its_way_at_once(tmp_path: Path) -> None:
    """Nothing is buffered: a killed process loses no record."""
    record = Store().feed("me", FRAMES[0], at=0.0)
    writer = LogWriter(tmp_path / "me.jsonl")
    writer.write(record)
    assert len(list(read_log_file(writer.path))) == 1
    writer.close()


def test_an_end_in_the_middle_is_named(written: tuple[Path, list[Record]]) -> None:
    """A cut-off line ends the readable part; the error has file and line."""
    path, _ = written
    path.write_bytes(path.read_bytes()[:-10])
    read: list[Record] = []
    with pytest.raises(LogError, match=r"me\.jsonl: line 3: cut off") as caught:
        read.extend(read_log_file(path))
    assert caught.value.line == 3


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    """The error of a missing file names it and has no line."""
    with pytest.raises(LogError, match=r"none\.jsonl: No such file") as caught:
        list(read_log_file(tmp_path / "none.jsonl"))
    assert caught.value.line is None
