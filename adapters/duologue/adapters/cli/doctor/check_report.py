"""The checks of ``doctor`` and how they are printed."""

from __future__ import annotations

import os
import re
from typing import Literal

import attrs
from rich.console import Console
from rich.text import Text

from duologue.transports.http.providers import PROVIDERS

from ..shared.control_characters import json_line, strip_controls

__all__ = ["Check", "CheckReport", "fail", "ok", "warn"]


@attrs.frozen
class Check:
    """One line: the name of the check, its result, the details, and what to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str | None = None


def ok(name: str, found: str) -> Check:
    """A check that succeeded."""
    return Check(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Check:
    """A missing part that not every user needs."""
    return Check(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Check:
    """A check that failed."""
    return Check(name, "fail", found, advice)


class CheckReport:
    """Prints each check at once, or all of them as JSON; keys are masked."""

    def __init__(self, *, json: bool) -> None:
        variables = {each.key_variable for each in PROVIDERS.values()}
        keys = (os.environ.get(name, "").strip() for name in variables)
        self._keys = sorted(filter(None, keys), key=len, reverse=True)
        self._checks: list[Check] = []
        self._json = json
        self._console = Console(quiet=json, highlight=False, soft_wrap=True)

    @property
    def has_failed(self) -> bool:
        """Whether a check failed."""
        return any(check.status == "fail" for check in self._checks)

    def add(self, check: Check) -> None:
        """Print a check."""
        check = attrs.evolve(
            check,
            found=self._masked(check.found),
            advice=None if check.advice is None else self._masked(check.advice),
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
        """Print the JSON object, if it was requested."""
        if self._json:
            checks = [attrs.asdict(check) for check in self._checks]
            print(json_line({"ok": not self.has_failed, "checks": checks}), end="")

    def _masked(self, text: str) -> str:
        """One line without control characters and without keys or passwords."""
        text = " ".join(strip_controls(text).split())
        for key in self._keys:
            text = text.replace(key, "***")
        text = re.sub(r"\b(sk-|ek_|xai-)[\w*-]+", r"\1***", text)
        return re.sub(r"://[^/\s@]+@", "://***@", text)
