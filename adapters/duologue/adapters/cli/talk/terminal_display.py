"""Draws a scene on the terminal, again whenever it has changed."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live

from .screen_layout import Scene, draw

__all__ = ["Display"]

#: Seconds between two looks at whether anything has changed.
_LOOK = 0.1

_log = logging.getLogger("duologue")


class Display:
    """The screen of a terminal, from `__enter__` to `__exit__`.

    ``take`` gives the scene as it is now. It is called, and the screen drawn, in a
    thread of its own: a terminal that takes nothing (Ctrl-S) keeps no one from talking.
    What else is printed meanwhile, by a tool for example, goes to ``note``.
    """

    def __init__(self, take: Callable[[], Scene], note: Callable[[str], None]) -> None:
        # The terminal itself: what is printed goes elsewhere.
        self._console = Console(file=sys.stdout, highlight=False)
        self._take = take
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._redirected = contextlib.ExitStack()
        self._lines = _Lines(note)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="screen")

    def __enter__(self) -> Display:
        self._live.start()
        self._redirected.enter_context(contextlib.redirect_stdout(self._lines))
        self._redirected.enter_context(contextlib.redirect_stderr(self._lines))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._redirected.close()
        self._lines.end()
        with contextlib.suppress(OSError):  # the terminal is gone
            self._live.stop()

    def _run(self) -> None:
        drawn: tuple[object, Scene] | None = None
        try:
            while True:
                size, scene = self._console.size, self._take()
                if drawn is None or size != drawn[0] or not scene.is_like(drawn[1]):
                    self._live.update(draw(scene), refresh=True)
                    drawn = size, scene
                if self._done.wait(_LOOK):
                    return
        except OSError:
            return  # the terminal is gone; who writes to it next says so
        except Exception:
            _log.exception("the screen cannot be drawn")


class _Lines(io.TextIOBase):
    """Standard output and error while the screen is drawn: whole lines, as notes."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._note(line)
        return len(text)

    def end(self) -> None:
        """What was begun is a line too."""
        if self._begun:
            self.write("\n")
