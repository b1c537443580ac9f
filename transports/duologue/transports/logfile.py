"""A session's log on disk: written line by line, read back with a clear end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from duologue.core.record import Record, read_log, to_line

from .errors import LogError

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

    def write(self, record: Record) -> None:
        """Append one record, all of it: a full disk may take a part only."""
        line = memoryview(to_line(record))
        while line:
            line = line[self._file.write(line) :]

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
