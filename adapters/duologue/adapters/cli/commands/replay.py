"""``duologue replay``: the state of a recorded log."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Optional

import typer

from ..shared.options import STDIN, Json, Log, check_exclusive

__all__ = ["replay"]


def replay(
    log: Log,
    speed: Annotated[
        Optional[float],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="X", help="Play the transcript at X times the recorded speed."
        ),
    ] = None,
    step: Annotated[
        bool,
        typer.Option("--step", help="Show record by record; Enter shows the next."),
    ] = False,
    until: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, metavar="SEQ", help="Ignore records after this sequence number."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fold a recorded log and show its conversation."""
    if speed is not None and not (isfinite(speed) and speed > 0):
        raise typer.BadParameter("--speed must be a number above 0")
    check_exclusive({"--speed": speed is not None, "--step": step, "--json": json})
    if step and log == STDIN:
        raise typer.BadParameter("--step reads standard input: give the log as a file")
    from rich.console import Console

    from duologue.core import fold

    from ..logs.log_input import LogInput
    from ..logs.log_playback import paced, stepped
    from ..shared.session_report import print_json, print_summary

    source = LogInput(log)
    console = Console(soft_wrap=True, highlight=False)
    records = source.records(until)
    if step:
        records = stepped(records, console)
    elif speed is not None:
        records = paced(records, console, speed)
    state = fold(records)
    if json:
        print_json(state, unchecked=source.unchecked)
    else:
        print_summary(console, state, counts=True)
        if source.unchecked:
            console.print(f"\n{source.unchecked} records without a checksum")
    source.check()
