"""``duologue replay``: a log, folded through the reducer that runs live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from duologue.core import Record, fold

from ..logs.log_input import LogInput
from ..logs.log_playback import paced, stepped
from ..shared.session_report import print_json, print_summary

__all__ = ["run"]


def run(
    path: Path,
    *,
    json: bool = False,
    speed: float | None = None,
    step: bool = False,
    until: int | None = None,
) -> None:
    """Print what the readable part of the log says, up to the record ``until``.

    With ``speed`` the words come as they were recorded, so many times as fast, before
    the summary; with ``step`` each record waits for a line of standard input. Raises
    `LogError` afterwards where the log ends early or holds nothing.
    """
    log = LogInput(path)
    console = Console(soft_wrap=True, highlight=False)
    records: Iterator[Record] = log.records(until)
    if step:
        records = stepped(records, console)
    elif speed is not None:
        records = paced(records, console, speed)
    state = fold(records)
    if json:
        print_json(state)
    else:
        print_summary(console, state, counts=True)
    log.check()
