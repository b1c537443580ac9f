"""Recorded logs as commands take them: a file or standard input, read up to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from duologue.core import Record, read_log
from duologue.core.errors import LogError
from duologue.transports import read_log_file

__all__ = ["STDIN", "LogInput"]

#: In place of a file.
STDIN = Path("-")


class LogInput:
    """A log that may be damaged: its readable part, and then what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self._path = path
        self._problem: LogError | None = None
        self._is_empty = True

    def records(self, until: int | None = None) -> Iterator[Record]:
        """The records, up to the first line that cannot be read.

        With ``until`` those alone whose ``seq`` in their session is at most that.
        Raises `LogError` for a file that cannot be read at all.
        """
        records = _from_stdin() if self._path == STDIN else read_log_file(self._path)
        try:
            for record in records:
                if until is None or record.seq <= until:
                    self._is_empty = False
                    yield record
        except LogError as error:
            if error.line is None:
                raise
            self._problem = error

    def check(self) -> None:
        """Raise `LogError` where the log ended early, or gave nothing."""
        if self._problem is not None:
            raise self._problem
        if self._is_empty:
            raise LogError(f"{self.name}: holds no records")


def _from_stdin() -> Iterator[Record]:
    try:
        yield from read_log(sys.stdin.buffer)
    except LogError as error:
        raise LogError(f"standard input: {error}", line=error.line) from None
