"""A log file: written line by line, read up to the first unreadable line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from duologue.core.log.lines import LogReader, read_log, to_line
from duologue.core.log.record import Record

from ...errors import LogError

__all__ = ["LogWriter", "read_log_file"]


class LogWriter:
    """Appends records to a new file without buffering.

    A killed process loses no record; a power failure may lose the last lines. The file
    is readable by its owner only. Raises OSError if it cannot be created or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: BinaryIO = self.path.open("wb", buffering=0)
        self.path.chmod(0o600)
        self._size = 0
        self._is_torn = False

    def write(self, record: Record) -> None:
        """Append one record completely or not at all.

        On a full disk, a part of the line may be written. It is removed at once or, if
        that fails, before the next record. Raises OSError.
        """
        if self._is_torn:
            self._truncate()
        line = to_line(record)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._is_torn = len(rest) < len(line)
            if self._is_torn:
                with contextlib.suppress(OSError):
                    self._truncate()
            raise
        self._size += len(line)

    def _truncate(self) -> None:
        self._file.truncate(self._size)
        self._file.seek(self._size)
        self._is_torn = False

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def read_log_file(path: str | Path) -> LogReader:
    """The records of a log file, in order; ``unchecked`` counts those without checksum.

    A record without a session id gets the file's stem. Raises `LogError` at the first
    unreadable line; the message names the file and the line.
    """
    path = Path(path)
    return read_log(_lines(path), session=path.stem, source=str(path))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise LogError(error.strerror or str(error)) from None
