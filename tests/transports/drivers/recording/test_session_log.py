"""A log that cannot be written: the session continues, and so does the log."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    Store,
    dump,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.core import events as ev
from duologue.local import in_process
from duologue.transports import (
    Client,
    LiveSession,
    LogError,
    read_log_file,
    record,
    replay,
)
from duologue.transports.drivers.recording import session_log as _session_log
from duologue.transports.drivers.recording.log_file import LogWriter
from duologue.transports.drivers.recording.session_log import SessionLog

TYPED = SessionConfig(output_modalities=("text",))
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]
APPEND = b'{"type":"input_audio_buffer.append","audio":"AAAA"}'


class Disk:
    """A log file on a disk that accepts some more bytes and then fails."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.room: int | None = None
        self.error = errno.ENOSPC
        #: Whether truncating fails too.
        self.stuck = False

    def truncate(self, size: int) -> None:
        if self.stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.file.truncate(size)

    def write(self, data: Any) -> int:
        if self.room is not None:
            data = data[: self.room]
            self.room -= len(data)
            if not data:
                raise OSError(self.error, os.strerror(self.error))
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def records(count: int) -> list[Record]:
    store = Store()
    return [
        store.feed("me", {"type": "new.thing", "n": n}, at=float(n))
        for n in range(count)
    ]


def write_often(writer: LogWriter, record: Record) -> None:
    for _ in range(3):
        writer.write(record)


# The file.


@pytest.mark.parametrize("room", [0, 1, 40, 150])
def test_a_line_that_was_cut_off_by_the_disk_is_taken_back(
    tmp_path: Path, room: int
) -> None:
    """The file has complete lines, also if writing continues later."""
    one, two, three = records(3)
    writer = LogWriter(tmp_path / "log.jsonl")
    writer._file = disk = Disk(writer._file)  # type: ignore[assignment]
    writer.write(one)
    disk.room = room
    with pytest.raises(OSError, match="No space left"):
        write_often(writer, two)
    read = list(read_log_file(writer.path))
    assert {each.frame for each in read[1:]} <= {two.frame}
    disk.room = None
    writer.write(three)
    assert list(read_log_file(writer.path)) == [*read, three]
    writer.close()


def test_a_file_that_cannot_even_be_cut(tmp_path: Path) -> None:
    """It is truncated before the next record; a reader finds the end."""
    one, two, three = records(3)
    writer = LogWriter(tmp_path / "log.jsonl")
    disk = Disk(writer._file)
    writer._file = disk  # type: ignore[assignment]
    writer.write(one)

    disk.room, disk.stuck = 30, True
    with pytest.raises(OSError, match="No space left"):
        writer.write(two)
    found: list[Record] = []
    with pytest.raises(LogError, match="line 2"):
        found.extend(read_log_file(writer.path))
    assert found == [one]
    disk.room = None
    with pytest.raises(OSError, match="Input/output"):
        writer.write(three)
    disk.stuck = False
    writer.write(three)
    assert list(read_log_file(writer.path)) == [one, three]
    writer.close()


# The session log.


def test_what_waits_is_bounded_and_a_gap_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first records are kept, the numbers of missing ones recorded."""
    monkeypatch.setattr(_session_log, "LIMIT", 3)
    log = Flaky()
    session_log = SessionLog(log)
    log.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    facts = [session_log.write(each) for each in records(6)]
    assert facts == [
        ev.Gap(reason="the log cannot be written: No space left on device"),
        *[None] * 5,
    ]
    log.error = None
    [more] = records(7)[6:]
    reason = "records 4 to 6 are missing in the log"
    assert session_log.write(more) == ev.Gap(reason=reason, from_seq=4, to_seq=6)
    assert [each.seq for each in log.taken] == [1, 2, 3, 7]
    assert str(session_log.failure) == reason


def test_sound_is_not_what_is_kept() -> None:
    """The log leaves audio out, and memory is bounded."""
    log = Flaky()
    session_log = SessionLog(log)
    log.error = OSError(errno.EIO, os.strerror(errno.EIO))
    session_log.write(Store().feed("me", APPEND, at=0.0, dir="out"))
    log.error = None
    session_log.end()
    assert [(each.audio_bytes, b"AAAA" in each.frame) for each in log.taken] == [
        (3, False)
    ]


def test_a_log_that_stays_unwritable_is_said_at_the_end() -> None:
    """With the first missing record and the reason."""
    log = Flaky()
    session_log = SessionLog(log)
    one, two = records(2)
    session_log.write(one)
    log.error = OSError(errno.EIO, os.strerror(errno.EIO))
    session_log.write(two)
    reason = "the log ends before record 2: Input/output error"
    assert session_log.end() == ev.Gap(reason=reason, from_seq=2)
    assert str(session_log.failure) == reason
    assert log.ended


def test_a_log_that_can_be_written_again_at_the_very_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kept records are written, missing ones are reported."""
    monkeypatch.setattr(_session_log, "LIMIT", 1)
    log = Flaky()
    session_log = SessionLog(log)
    log.error = OSError(errno.EIO, os.strerror(errno.EIO))
    for each in records(2):
        session_log.write(each)
    log.error = None
    reason = "records 2 to 2 are missing in the log"
    assert session_log.end() == ev.Gap(reason=reason, from_seq=2, to_seq=2)
    assert [each.seq for each in log.taken] == [1]


def test_without_a_log_nothing_is_kept() -> None:
    """A transport that is no `Recorder`."""
    session_log = SessionLog(object())
    assert [session_log.write(each) for each in records(2)] == [None, None]
    assert session_log.end() is None
    assert not session_log._waiting


class Flaky:
    """Takes records, or raises."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.taken: list[Record] = []
        self.ended = False

    def log(self, record: Record) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(record)

    def end_log(self) -> None:
        self.ended = True


# Live sessions.


@pytest.fixture
def client() -> Client:
    return Client(base_url="http://127.0.0.1/v1")


async def ask(session: LiveSession) -> None:
    count = len(select_transcripts(session.state))
    await session.send_text("hello")
    await session.until(
        lambda s: select_is_settled(s) and len(select_transcripts(s)) == count + 2,
        timeout=10,
    )


def words(session: Session) -> list[str]:
    return [line.text for line in select_transcripts(session)]


def problems(session: Session) -> list[str]:
    return [problem.message for problem in select_problems(session)]


@pytest.mark.parametrize("error", ERRORS)
async def test_a_call_goes_on_and_its_log_is_whole_again(
    client: Client, tmp_path: Path, error: int
) -> None:
    """F16: a problem reports it; later the log is complete."""
    path = tmp_path / "log.jsonl"
    recording = record(in_process(), path)
    why = f"the log cannot be written: {os.strerror(error)}"
    told: list[str] = []
    async with client:
        session = await client.start_session(TYPED, transport=recording)
        session.on("error", lambda problem: told.append(problem.message))
        assert recording._writer is not None
        disk = Disk(recording._writer._file)
        recording._writer._file = disk  # type: ignore[assignment]
        await ask(session)
        disk.room, disk.error = 500, error
        await ask(session)
        assert (told, problems(session.state)) == ([why], [why])
        assert str(session.failure) == why
        whole = len(list(read_log_file(path)))
        assert 0 < whole < session.state.dedup.events
        disk.room = None
        await ask(session)
        assert session.failure is None
    assert problems(session.state) == [why]
    assert len(select_transcripts(session.state)) == 6
    assert dump(fold(read_log_file(path))) == dump(client.store.state)
    async with Client() as other:
        again = replay(path)
        replayed = await other.start_session(TYPED, transport=again)
        for _ in range(3):
            await ask(replayed)
    again.check()
    assert words(replayed.state) == words(session.state)
    assert replayed.state.dedup.events == session.state.dedup.events
    assert problems(replayed.state) == [why]


async def test_a_log_that_has_a_gap_is_marked(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit, the log has the numbers of the missing records."""
    monkeypatch.setattr(_session_log, "LIMIT", 5)
    path = tmp_path / "log.jsonl"
    recording = record(in_process(), path)
    async with client:
        session = await client.start_session(TYPED, transport=recording)
        assert recording._writer is not None
        disk = Disk(recording._writer._file)
        recording._writer._file = disk  # type: ignore[assignment]
        disk.room = 0
        await ask(session)
        disk.room = None
        await ask(session)
    read = list(read_log_file(path))
    [gap] = [r.event for r in read if isinstance(r.event, ev.Gap) and r.event.to_seq]
    seqs = [each.seq for each in read]
    missing = set(range(1, seqs[-1])) - set(seqs)
    assert missing == set(range(gap.from_seq or 0, (gap.to_seq or 0) + 1))
    assert problems(session.state) == [
        "the log cannot be written: No space left on device",
        gap.reason,
    ]
    assert str(session.failure) == gap.reason


async def test_a_disk_that_stays_full(client: Client, tmp_path: Path) -> None:
    """The state has the first missing record; the log is readable up to there."""
    path = tmp_path / "log.jsonl"
    recording = record(in_process(), path)
    async with client:
        session = await client.start_session(TYPED, transport=recording)
        assert recording._writer is not None
        disk = Disk(recording._writer._file)
        recording._writer._file = disk  # type: ignore[assignment]
        disk.room = 700
        await ask(session)
    last = list(read_log_file(path))[-1].seq
    assert problems(session.state) == [
        "the log cannot be written: No space left on device",
        f"the log ends before record {last + 1}: No space left on device",
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, if the user may mount one."""
    import subprocess

    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"]
    done = subprocess.run(["mount", *options, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_disk_that_is_really_full(client: Client, small_disk: Path) -> None:
    """The kernel accepts a part of a line, then nothing."""
    path = small_disk / "log.jsonl"
    ballast = small_disk / "ballast"
    async with client:
        session = await client.start_session(
            TYPED, transport=record(in_process(), path)
        )
        ballast.write_bytes(bytes(232 * 1024))
        for _ in range(4):
            await ask(session)
        assert problems(session.state) == [
            "the log cannot be written: No space left on device"
        ]
        list(read_log_file(path))
        ballast.unlink()
        await ask(session)
    assert session.failure is None
    assert len(problems(session.state)) == 1
    assert dump(fold(read_log_file(path))) == dump(client.store.state)


async def test_who_interrupts_a_record_keeps_it_from_no_log(
    client: Client, tmp_path: Path
) -> None:
    """F14: a subscriber's interrupt ends the session; the log is complete."""
    path = tmp_path / "log.jsonl"

    class Interrupt(BaseException):
        pass

    def interrupt(before: object, record: Record, after: object) -> None:
        if isinstance(record.event, ev.ResponseCreated):
            raise Interrupt

    async with client:
        session = await client.start_session(
            TYPED, transport=record(in_process(), path)
        )
        other = await client.start_session(TYPED, transport=in_process())
        client.store.subscribe(interrupt, session=session.id)
        await session.send_text("hello")
        with pytest.raises(Exception, match="is over: the session was interrupted"):
            await session.until(lambda s: False, timeout=10)
        await ask(other)
    events = [type(each.event) for each in read_log_file(path)]
    assert ev.ResponseCreated in events
    assert fold(read_log_file(path)).sessions[session.id] == session.state
