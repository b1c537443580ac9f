"""Commands that read a recorded log: their options."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..shared.options import Json, check_distinct

__all__ = ["export", "replay"]

_Log = Annotated[Path, typer.Argument(help="The log; - is standard input.")]
_FORMATS = ("txt", "md", "json")
#: What `logs.STDIN` is; a file of this name is ``./-``.
_STDIN = Path("-")


def replay(
    log: _Log,
    speed: Annotated[
        Optional[float],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="X", help="Show the words as recorded (1), or X times as fast."
        ),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Show record by record, at each Enter.")
    ] = False,
    until: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="SEQ", help="Go up to this record."),
    ] = None,
    json: Json = False,
) -> None:
    """Fold a recorded log and show the conversation in it."""
    if speed is not None and not (isfinite(speed) and speed > 0):
        raise typer.BadParameter("--speed is a number above 0")
    given = {"--speed": speed is not None, "--step": step, "--json": json}
    names = [name for name, there in given.items() if there]
    if len(names) > 1:
        raise typer.BadParameter(f"{names[0]} and {names[1]} exclude each other")
    if step and log == _STDIN:
        raise typer.BadParameter("--step reads standard input: give the log as a file")
    from .replay import run

    run(log, json=json, speed=speed, step=step, until=until)


def export(
    log: _Log,
    format: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="txt|md|json",
            help="The form; by default that of the output's name, else txt.",
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write to this file."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="The same as --format json.")
    ] = False,
) -> None:
    """Write the transcript of a recorded log.

    Who said what and when, what was heard of it, and the calls of tools.
    Control characters and escape sequences are stripped.
    """
    if json and format not in (None, "json"):
        raise typer.BadParameter(f"--json and --format {format} exclude each other")
    if json:
        format = "json"
    if format is None:
        suffix = "" if output is None else output.suffix.lstrip(".").lower()
        format = suffix if suffix in _FORMATS else "txt"
    if format not in _FORMATS:
        raise typer.BadParameter(f"--format {format!r}: it is txt, md or json")
    if log != _STDIN:
        check_distinct({"the log": log, "--output": output})
    from ..logs.transcript_export import run

    run(log, format=format, output=output)
