"""``duologue doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import typer
from rich.console import Console
from rich.text import Text

from duologue.transports import MissingExtra

from ..shared.escape import as_line, plain
from .machine_checks import Check, machine_checks, warn

if TYPE_CHECKING:
    from ..shared.one_turn import Carrier

__all__ = ["Options", "run"]


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asks for.

    ``reach`` None asks the service where there is a key, or where it is on this
    machine.
    """

    base_url: str | None
    reach: bool | None
    live: bool
    carrier: Carrier
    model: str | None
    record: Path | None
    json: bool


def run(options: Options) -> None:
    """Print a line for each check. Raises `typer.Exit` with 1 where one fails."""
    report = _Report(json=options.json)
    for check in machine_checks():
        report.add(check)
    asyncio.run(_ask(options, report))
    report.end()
    if report.has_failed:
        raise typer.Exit(1)


async def _ask(options: Options, report: _Report) -> None:
    async for check in _services(options):
        report.add(check)


async def _services(options: Options) -> AsyncIterator[Check]:
    try:
        from . import service_checks as doctor_service
    except MissingExtra as error:
        yield warn("service", "no session can be held", str(error))
        return
    async for check in doctor_service.service_checks(options):
        yield check


class _Report:
    """The lines, printed as they are known; a key in them is masked."""

    def __init__(self, *, json: bool) -> None:
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        self._checks: list[Check] = []
        self._json = json
        self._console = Console(quiet=json, highlight=False, soft_wrap=True)

    @property
    def has_failed(self) -> bool:
        return any(check.status == "fail" for check in self._checks)

    def add(self, check: Check) -> None:
        check = attrs.evolve(
            check,
            found=self._shown(check.found),
            advice=None if check.advice is None else self._shown(check.advice),
        )
        self._checks.append(check)
        colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.status]
        line = Text(f"{check.status:<5}", style=colour)
        line.append(f"{check.name:<16}", style="default")
        line.append(check.found, style="default")
        if check.advice is not None:
            line.append(f": {check.advice}", style="default")
        self._console.print(line)

    def end(self) -> None:
        if self._json:
            checks = [attrs.asdict(check) for check in self._checks]
            told = {"ok": not self.has_failed, "checks": checks}
            print(as_line(told), end="")

    def _shown(self, text: str) -> str:
        """One line without controls, and without what looks like a key or password."""
        text = " ".join(plain(text).split())
        if self._key:
            text = text.replace(self._key, "***")
        text = re.sub(r"\b(sk-|ek_)[\w*-]+", r"\1***", text)
        return re.sub(r"://[^/\s@]+@", "://***@", text)
