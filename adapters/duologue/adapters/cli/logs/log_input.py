"""A recorded log from a file or standard input, read up to the first damaged line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from duologue.core import LogReader, Record, read_log
from duologue.core.errors import LogError
from duologue.transports import read_log_file

from ..shared.options import STDIN

__all__ = ["LogInput"]


class LogInput:
    """A log that may be damaged: first its readable records, then the error."""

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self._path = path
        self._error: LogError | None = None
        self._is_empty = True
        self._reader: LogReader | None = None

    @property
    def unchecked(self) -> int:
        """The number of records so far whose line has no checksum."""
        return 0 if self._reader is None else self._reader.unchecked

    def records(self, until: int | None = None) -> Iterator[Record]:
        """Yield the records before the first damaged line.

        ``until`` is the highest ``seq`` of a session to yield. Raises `LogError` if the
        file cannot be opened.
        """
        if self._path == STDIN:
            self._reader = read_log(sys.stdin.buffer, source=self.name)
        else:
            self._reader = read_log_file(self._path)
        try:
            for record in self._reader:
                if until is None or record.seq <= until:
                    self._is_empty = False
                    yield record
        except LogError as error:
            if error.line is None:
                raise
            self._error = error

    def check(self) -> None:
        """Raise `LogError` if a line was damaged or there were no records."""
        if self._error is not None:
            raise self._error
        if self._is_empty:
            raise LogError(f"{self.name}: holds no records")
