"""Options that several commands have, and checks of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional, cast

import typer

__all__ = [
    "STDIN",
    "BaseUrl",
    "Carrier",
    "Host",
    "Instructions",
    "Json",
    "Local",
    "Log",
    "Model",
    "Port",
    "ProviderName",
    "Record",
    "Transport",
    "Voice",
    "check_carrier",
    "check_distinct",
    "check_exclusive",
    "check_service",
]

#: The transport of a session.
Carrier = Literal["webrtc", "websocket"]

#: The file argument for standard input; ``./-`` names a file with this name.
STDIN = Path("-")

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.")
]
Local = Annotated[
    bool,
    typer.Option(
        "--local", help="Start the local service (scripted replies) and use it."
    ),
]
BaseUrl = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(metavar="URL", help="Base URL of the service, ending in /v1."),
]
ProviderName = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--provider",
        metavar="NAME",
        help="The provider of the service: openai, azure, azure-preview, xai, local "
        "or plain.",
    ),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The model of the session."),
]
Voice = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The voice of the assistant."),
]
Instructions = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Instructions for the assistant."),
]
Transport = Annotated[
    str, typer.Option(metavar="webrtc|websocket", help="The transport of the session.")
]
Record = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="LOG", help="Write the log of the session to this file."),
]
Log = Annotated[Path, typer.Argument(help="The log file; - reads standard input.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="The port; 0 selects a free one.")
]


def check_service(
    *, local: bool, base_url: str | None, provider: str | None = None
) -> None:
    """Reject ``--local`` together with an option that names another service.

    Reject an invalid URL and an unknown provider, too.
    """
    if local:
        # Imported first, so that a missing library is reported with the extra "local".
        from duologue.local import LocalService  # noqa: F401
    check_exclusive({"--local": local, "--base-url": base_url is not None})
    check_exclusive({"--local": local, "--provider": provider is not None})
    if base_url is not None:
        _check_url(base_url)
    if provider is not None:
        from duologue.transports.http.providers import find_provider

        try:
            find_provider(provider)
        except ValueError as error:
            raise typer.BadParameter(f"--provider: {error}") from None


def _check_url(base_url: str) -> None:
    from duologue.transports.errors import SignallingError
    from duologue.transports.http.redaction import shown_url
    from duologue.transports.http.signalling import is_loopback

    try:
        is_loopback(base_url)
    except SignallingError as error:
        shown = repr(shown_url(base_url))
        raise typer.BadParameter(f"--base-url {shown}: {error}") from None


def check_carrier(transport: str) -> Carrier:
    """Return the value of ``--transport``; reject unknown ones."""
    if transport not in ("webrtc", "websocket"):
        raise typer.BadParameter(
            f"--transport {transport!r}: must be webrtc or websocket"
        )
    return cast("Carrier", transport)


def check_exclusive(given: dict[str, bool]) -> None:
    """Reject more than one of these options."""
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise typer.BadParameter(f"{names[0]} and {names[1]} exclude each other")


def check_distinct(paths: dict[str, Path | None]) -> None:
    """Reject two options that name the same file."""
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise typer.BadParameter(f"{other} and {name} are the same file: {path}")
