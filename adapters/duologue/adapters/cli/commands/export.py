"""``duologue export``: the transcript of a recorded log as a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from duologue.core.errors import DuologueError

from ..shared.options import STDIN, Log, check_distinct

__all__ = ["export"]

_FORMATS = ("txt", "md", "json")


def export(
    log: Log,
    format: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(
            metavar="txt|md|json",
            help="The format; by default that of the output's name, else txt.",
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE", help="Write to this file, not to standard output."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="The same as --format json.")
    ] = False,
) -> None:
    """Write the transcript of a recorded log.

    It has the messages with their times, the part of each reply that was heard, and
    the tool calls. Control characters and escape sequences are removed.
    """
    if json and format not in (None, "json"):
        raise typer.BadParameter(f"--json and --format {format} exclude each other")
    if json:
        format = "json"
    if format is None:
        suffix = "" if output is None else output.suffix.lstrip(".").lower()
        format = suffix if suffix in _FORMATS else "txt"
    if format not in _FORMATS:
        raise typer.BadParameter(f"--format {format!r}: must be txt, md or json")
    if log != STDIN:
        check_distinct({"the log": log, "--output": output})
    from ..logs.log_input import LogInput
    from ..logs.transcript_export import transcripts
    from ..logs.transcript_formats import as_json, as_markdown, as_text

    source = LogInput(log)
    if found := transcripts(source.records()):
        write = {"txt": as_text, "md": as_markdown, "json": as_json}[format]
        _write(write(found), output)
    source.check()


def _write(text: str, output: Path | None) -> None:
    """Write UTF-8 in every locale; only the owner may read a new file, as with logs."""
    content = text.encode(errors="replace")
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(output, flags, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise DuologueError(f"{output}: {error.strerror or error}") from None
