"""Callbacks by name: a thin layer over `duologue.core.views.notices`.

Synchronous; a callback that raises is set aside, logged, and kept in
`Emitter.failures`.
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
    """Keeps the callbacks of one session."""

    def __init__(self) -> None:
        self._emitter = EventEmitter()
        #: What callbacks raised, the last hundred.
        self.failures: list[BaseException] = []

    def on(self, name: str, callback: Callable[..., Any]) -> Callable[[], None]:
        """Call ``callback`` for every notice of this name (see `NAMES`).

        Returns the function that ends it. Raises ValueError for an unknown name and
        TypeError for a coroutine function, which nobody would await.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError("a callback is a plain function: start a task in it")
        if name not in NAMES:
            known = ", ".join(sorted(NAMES))
            raise ValueError(f"no notice is called {name!r}; there are: {known}")

        def isolated(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                _log.exception("a callback for %r failed", name)
                self.failures = [*self.failures[-99:], error]

        # pyee raises on an "error" without a listener; a prefix makes it a plain name.
        self._emitter.on(f"on_{name}", isolated)

        def off() -> None:
            if isolated in self._emitter.listeners(f"on_{name}"):
                self._emitter.remove_listener(f"on_{name}", isolated)

        return off

    def tell(self, notice: Notice) -> None:
        """Call the callbacks of one notice."""
        self._emitter.emit(f"on_{notice.name}", *notice.args)
