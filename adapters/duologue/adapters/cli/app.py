"""The commands. Each does its work in a module of its own, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from duologue.core import __version__

from .commands.doctor import doctor, say, token
from .commands.export import export, replay
from .commands.local import local
from .commands.talk import talk
from .commands.web import web
from .shared.options import Json

__all__ = ["app"]

app = typer.Typer(
    name="duologue",
    help="Spoken conversations over the OpenAI Realtime API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"duologue {__version__}")
        raise typer.Exit


@app.callback()
def duologue(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print it."
        ),
    ] = False,
) -> None:
    """Spoken conversations over the OpenAI Realtime API."""


app.command()(talk)
app.command()(say)
app.command()(local)
app.command()(web)
app.command()(replay)
app.command()(export)
app.command()(token)
app.command()(doctor)


@app.command()
def devices(json: Json = False) -> None:
    """List the microphones and speakers of this machine."""
    from .commands.devices import run

    run(json=json)
