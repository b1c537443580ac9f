"""The typer application: all commands, one module each in `commands`.

A command imports its implementation when it runs, so that ``--help`` is fast and needs
no extra except ``cli``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from duologue.core import __version__

from .commands.devices import devices
from .commands.doctor import doctor
from .commands.export import export
from .commands.local import local
from .commands.replay import replay
from .commands.say import say
from .commands.talk import talk
from .commands.token import token
from .commands.web import web

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
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Spoken conversations over the OpenAI Realtime API."""


for _command in (talk, say, local, web, replay, export, token, doctor, devices):
    app.command()(_command)
