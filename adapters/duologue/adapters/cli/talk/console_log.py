"""What a command says beside the talk: its own notes, and warnings of the libraries."""

from __future__ import annotations

import logging
import sys
from collections import deque
from types import TracebackType

from rich.console import Console

from ..shared.escape import plain
from ..shared.session_report import clean

__all__ = ["Notes"]

#: Notes that are kept while a screen is drawn.
_KEPT = 100


class Notes(logging.Handler):
    """Prints notes to a console and warnings to standard error.

    With ``keep`` it holds them back while it is in use, for whoever draws the screen
    (`latest`), and prints them at the end.
    """

    def __init__(self, console: Console, *, keep: bool) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._kept: deque[tuple[str, bool]] | None = None
        self._keep = keep

    @property
    def latest(self) -> tuple[str, ...]:
        """What is held back, the oldest first."""
        return tuple(text for text, _ in tuple(self._kept or ()))

    def say(self, text: str) -> None:
        """A note of the command itself."""
        self._take(text, False)

    def emit(self, record: logging.LogRecord) -> None:
        """A warning, or worse, of whatever is running."""
        self._take(self.format(record), True)

    def __enter__(self) -> Notes:
        if self._keep:
            self._kept = deque(maxlen=_KEPT)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self)
        kept, self._kept = self._kept, None
        for text, is_warning in kept or ():
            self._print(text, is_warning)

    def _take(self, text: str, is_warning: bool) -> None:
        if self._kept is None:
            self._print(text, is_warning)
        else:
            self._kept.append((text, is_warning))

    def _print(self, text: str, is_warning: bool) -> None:
        if is_warning:
            print(plain(text), file=sys.stderr, flush=True)
        else:
            self._console.print(clean(text), style="dim", markup=False)
