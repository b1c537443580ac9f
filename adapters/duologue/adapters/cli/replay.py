"""``duologue replay``: a log, folded through the reducer that runs live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from duologue.core import Record, State, read_log, reduce
from duologue.core.errors import LogError
from duologue.transports.logfile import read_log_file

from .report import print_json, print_summary

__all__ = ["run"]

#: In place of a file.
_STDIN = Path("-")


def run(log: Path, *, json: bool) -> None:
    """Print what the readable part of the log says.

    Raises `LogError` afterwards where it ends early or holds nothing.
    """
    state = State()
    problem: LogError | None = None
    try:
        for record in _from_stdin() if log == _STDIN else read_log_file(log):
            state = reduce(state, record)
    except LogError as error:
        if error.line is None:
            raise
        problem = error
    if json:
        print_json(state)
    else:
        print_summary(Console(soft_wrap=True, highlight=False), state, counts=True)
    if problem is not None:
        raise problem
    if not state.sessions:
        name = "standard input" if log == _STDIN else log
        raise LogError(f"{name}: holds no records")


def _from_stdin() -> Iterator[Record]:
    try:
        yield from read_log(sys.stdin.buffer)
    except LogError as error:
        raise LogError(f"standard input: {error}", line=error.line) from None
