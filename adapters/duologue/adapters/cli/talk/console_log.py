"""Messages of the command and warnings of libraries during a talk."""

from __future__ import annotations

import logging
import sys
from collections import deque

from rich.console import Console

from ..shared.control_characters import single_line, strip_controls

__all__ = ["ConsoleLog"]

#: The most messages that are held back.
_MOST_HELD = 100


class ConsoleLog(logging.Handler):
    """Prints messages to a console and warnings to standard error.

    With ``hold`` they are held back while the context is entered, so that the screen
    can show them (`recent`), and printed when it exits.
    """

    def __init__(self, console: Console, *, hold: bool) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._held: deque[tuple[str, bool]] | None = None
        self._hold = hold

    @property
    def recent(self) -> tuple[str, ...]:
        """The messages that are held back, oldest first."""
        return tuple(text for text, _ in tuple(self._held or ()))

    def message(self, text: str) -> None:
        """Print a message of the command itself."""
        self._add(text, False)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning or an error of a library."""
        self._add(self.format(record), True)

    def __enter__(self) -> ConsoleLog:
        if self._hold:
            self._held = deque(maxlen=_MOST_HELD)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self)
        held, self._held = self._held, None
        for text, is_warning in held or ():
            self._print(text, is_warning)

    def _add(self, text: str, is_warning: bool) -> None:
        if self._held is None:
            self._print(text, is_warning)
        else:
            self._held.append((text, is_warning))

    def _print(self, text: str, is_warning: bool) -> None:
        if is_warning:
            print(strip_controls(text), file=sys.stderr, flush=True)
        else:
            self._console.print(single_line(text), style="dim", markup=False)
