"""A recorded log from a file or standard input, read up to the first damaged line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from duologue.core import Record, read_log
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

    def records(self, until: int | None = None) -> Iterator[Record]:
        """Yield the records before the first damaged line.

        ``until`` is the highest ``seq`` of a session to yield. Raises `LogError` if the
        file cannot be opened.
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
            self._error = error

    def check(self) -> None:
        """Raise `LogError` if a line was damaged or there were no records."""
        if self._error is not None:
            raise self._error
        if self._is_empty:
            raise LogError(f"{self.name}: holds no records")


def _from_stdin() -> Iterator[Record]:
    try:
        yield from read_log(sys.stdin.buffer)
    except LogError as error:
        raise LogError(f"standard input: {error}", line=error.line) from None
