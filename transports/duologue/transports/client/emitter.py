"""Callbacks by name for the notices of `duologue.core.views.notices`.

Calls are synchronous. An exception of a callback is logged and kept in
`Emitter.failures`; other callbacks still run.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

try:
    from pyee import EventEmitter
except ImportError as error:  # pragma: no cover - tried in a bare environment
    from ..errors import MissingExtra

    raise MissingExtra("live sessions need pip install 'duologue[webrtc]'") from error

from duologue.core.views.notices import NAMES, Notice

__all__ = ["Emitter"]

_log = logging.getLogger("duologue")


class Emitter:
    """The callbacks of one session."""

    def __init__(self) -> None:
        self._emitter = EventEmitter()
        #: The last hundred exceptions that callbacks raised.
        self.failures: list[BaseException] = []

    def on(self, name: str, callback: Callable[..., Any]) -> Callable[[], None]:
        """Call ``callback`` for every notice of this name (see `NAMES`).

        Returns a function that unsubscribes. Raises ValueError for an unknown name and
        TypeError for a coroutine function, because the emitter does not await.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError("a callback is a plain function: start a task in it")
        if name not in NAMES:
            known = ", ".join(sorted(NAMES))
            raise ValueError(f"unknown notice {name!r}; known: {known}")

        def isolated(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                _log.exception("a callback for %r failed", name)
                self.failures = [*self.failures[-99:], error]

        # pyee raises for "error" without a listener; the prefix avoids that.
        self._emitter.on(f"on_{name}", isolated)

        def off() -> None:
            if isolated in self._emitter.listeners(f"on_{name}"):
                self._emitter.remove_listener(f"on_{name}", isolated)

        return off

    def tell(self, notice: Notice) -> None:
        """Call the callbacks of this notice."""
        self._emitter.emit(f"on_{notice.name}", *notice.args)
