"""Options that several commands take, and the checks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = [
    "BaseUrl",
    "Instructions",
    "Json",
    "Local",
    "Model",
    "Record",
    "Voice",
    "check_distinct",
    "check_service",
]

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, nothing else.")
]
Local = Annotated[
    bool,
    typer.Option(
        "--local", help="Start the local service (scripted replies) and use it."
    ),
]
BaseUrl = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(metavar="URL", help="The service to use, up to /v1."),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The model of the conversation."),
]
Voice = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The assistant's voice."),
]
Instructions = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="What the assistant is to be."),
]
Record = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="LOG", help="Write the log of the session to this file."),
]


def check_service(*, local: bool, base_url: str | None) -> None:
    """Refuse a service that is named twice, or by what is no URL."""
    if local:
        # First, so that what is missing is asked for by the extra that brings it all.
        from duologue.local import LocalService  # noqa: F401
    if local and base_url is not None:
        raise typer.BadParameter("--local and --base-url exclude each other")
    if base_url is not None:
        _check_url(base_url)


def _check_url(base_url: str) -> None:
    from duologue.transports.errors import SignallingError
    from duologue.transports.http.signalling import is_loopback

    try:
        is_loopback(base_url)
    except SignallingError as error:
        raise typer.BadParameter(f"--base-url {base_url!r}: {error}") from None


def check_distinct(paths: dict[str, Path | None]) -> None:
    """Refuse to write over what is read, or two things into one file."""
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise typer.BadParameter(f"{other} and {name} are the same file: {path}")
