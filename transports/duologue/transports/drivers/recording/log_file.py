"""A session's log on disk: written line by line, read back with a clear end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from duologue.core.log.record import Record, read_log, to_line

from ...errors import LogError

__all__ = ["LogWriter", "read_log_file"]


class LogWriter:
    """Appends records to a new file, each handed to the operating system at once.

    So a process that dies loses nothing that was recorded; a machine that loses
    power may lose the last lines. The file is readable by its owner only.
    Raises OSError where it cannot be made or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: BinaryIO = self.path.open("wb", buffering=0)
        self.path.chmod(0o600)
        self._size = 0
        self._is_torn = False

    def write(self, record: Record) -> None:
        """Append one record, all of it or nothing.

        A full disk may take a part of a line: that is cut off again, at once or, where
        the file cannot be changed at all, before the next record. Raises OSError.
        """
        if self._is_torn:
            self._cut()
        line = to_line(record)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._is_torn = len(rest) < len(line)
            if self._is_torn:
                with contextlib.suppress(OSError):
                    self._cut()
            raise
        self._size += len(line)

    def _cut(self) -> None:
        self._file.truncate(self._size)
        self._file.seek(self._size)
        self._is_torn = False

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def read_log_file(path: str | Path) -> Iterator[Record]:
    """The records of a log file, in order; its stem names a session without a name.

    Raises `LogError`, naming the file and the line, where the readable part ends.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            yield from read_log(file, session=path.stem)
    except LogError as error:
        raise LogError(f"{path}: {error}", line=error.line) from None
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from None
