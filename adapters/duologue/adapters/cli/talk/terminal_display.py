"""The thread that redraws the terminal screen when its state changes."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from .screen_layout import ScreenState, draw

__all__ = ["TerminalDisplay"]

#: Seconds between two checks for changes.
_INTERVAL = 0.1

_log = logging.getLogger("duologue")


class TerminalDisplay:
    """The terminal's alternate screen, while the context is entered.

    ``current`` returns the state to draw. It is called in a thread that also draws, so
    that a stopped terminal (Ctrl-S) does not block the sessions. Lines that other code,
    such as a tool, prints meanwhile are passed to ``log``.
    """

    def __init__(
        self, current: Callable[[], ScreenState], log: Callable[[str], None]
    ) -> None:
        # Created first: it keeps the real standard output.
        self._console = Console(file=sys.stdout, highlight=False)
        self._current = current
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._redirected = contextlib.ExitStack()
        self._lines = _LineWriter(log)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="screen")

    def __enter__(self) -> TerminalDisplay:
        self._live.start()
        self._redirected.enter_context(contextlib.redirect_stdout(self._lines))
        self._redirected.enter_context(contextlib.redirect_stderr(self._lines))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._redirected.close()
        self._lines.end()
        with contextlib.suppress(OSError):  # the terminal is closed
            self._live.stop()

    def _run(self) -> None:
        drawn: tuple[object, ScreenState] | None = None
        try:
            while True:
                size, state = self._console.size, self._current()
                if drawn is None or size != drawn[0] or not state.is_like(drawn[1]):
                    self._live.update(draw(state), refresh=True)
                    drawn = size, state
                if self._done.wait(_INTERVAL):
                    return
        except OSError:
            return  # the terminal is closed; the next write to it reports that
        except Exception:
            _log.exception("the screen cannot be drawn")


class _LineWriter(io.TextIOBase):
    """Passes complete lines to a function; replaces standard output and error."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._partial = ""

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        """Pass on the last line if it is incomplete."""
        if self._partial:
            self.write("\n")
