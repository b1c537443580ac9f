"""Creates the sessions of a service and numbers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..components import Parts
from ..engine.settings import EngineOptions
from ..faults.injector import NO_FAULTS, Faults
from .capacity import Capacity
from .session_runner import SessionRunner, new_id

__all__ = ["SessionFactory"]


class SessionFactory:
    """Opens sessions with the same parts, options, capacity and faults."""

    def __init__(
        self,
        parts: Parts,
        options: EngineOptions,
        *,
        capacity: Capacity | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self._parts = parts
        self._options = options
        self._capacity = Capacity() if capacity is None else capacity
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
        """Open a session; ``media``: its audio uses a media track. Raises `Refusal`.

        ``send`` and ``on_over`` are the arguments of `SessionRunner`.
        """
        number = self._opened + 1
        runner = SessionRunner(
            send,
            self._parts,
            session=session,
            options=attrs.evolve(self._options, media=media),
            seat=self._capacity.claim(),
            on_over=on_over,
            line=self._faults.line(number, session.get("model"), new_id),
        )
        self._opened = number
        return runner
