"""``duologue replay``: a log, folded through the reducer that runs live."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from duologue.core import State, reduce
from duologue.core.errors import LogError
from duologue.transports.logfile import read_log_file

from .report import print_json, print_summary

__all__ = ["run"]


def run(log: Path, *, json: bool) -> None:
    """Print what the readable part of the log says.

    Raises `LogError` afterwards where it ends early or holds nothing.
    """
    state = State()
    problem: LogError | None = None
    try:
        for record in read_log_file(log):
            state = reduce(state, record)
    except LogError as error:
        if error.line is None:
            raise
        problem = error
    if json:
        print_json(state)
    else:
        print_summary(Console(soft_wrap=True, highlight=False), state)
    if problem is not None:
        raise problem
    if not state.sessions:
        raise LogError(f"{log}: holds no records")
