"""The sessions of a service: what they share, and which of them they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..components import Parts
from ..engine.options import Options
from ..faults.injector import NO_FAULTS, Faults
from .capacity import Listeners
from .session_runner import SessionRunner, new_id

__all__ = ["Sessions"]


class Sessions:
    """Opens sessions with the same parts, options and faults."""

    def __init__(
        self,
        parts: Parts,
        options: Options,
        *,
        listeners: Listeners | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self._parts = parts
        self._options = options
        self._listeners = Listeners() if listeners is None else listeners
        self._faults = faults
        self._opened = 0

    def open(
        self,
        send: Callable[[str], None],
        session: Mapping[str, Any],
        on_over: Callable[[int, str], None],
        *,
        media: bool,
    ) -> SessionRunner:
        """A session; ``media`` where audio goes by a track. Raises `Refusal`.

        ``send`` and ``on_over`` are those of `SessionRunner`.
        """
        number = self._opened + 1
        runner = SessionRunner(
            send,
            self._parts,
            session=session,
            options=attrs.evolve(self._options, media=media),
            seat=self._listeners.seat(),
            on_over=on_over,
            line=self._faults.line(number, session.get("model"), new_id),
        )
        self._opened = number
        return runner
