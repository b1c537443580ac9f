"""A transport on the bench: what its far side is to do, and what is known of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

import attrs

from ..contract import Target, Transport
from ..http.credentials import Credentials

__all__ = [
    "PATIENCE",
    "Ending",
    "Rig",
    "Script",
    "Step",
    "default_target",
    "event",
    "follow",
]

#: Seconds that anything may take before a test fails.
PATIENCE = 20.0

#: "in": the far side sends this. "out": it waits until this was sent to it.
Step = tuple[Literal["in", "out"], str | bytes]
#: How it ends: it stays, closes by agreement, or is lost.
Ending = Literal["open", "closed", "lost"]


def event(number: int, **fields: Any) -> str:
    """A frame that no service sends, so that nobody makes anything of it."""
    return json.dumps({"type": f"test.{number}", **fields})


@attrs.frozen
class Script:
    """What the far side does once the transport is connected, in this order.

    A frame of ``bytes`` is text that is not UTF-8.
    """

    steps: tuple[Step, ...] = ()
    ending: Ending = "open"

    @classmethod
    def of(cls, *steps: Step, ending: Ending = "open") -> Script:
        """The script of these steps."""
        return cls(steps, ending)

    @property
    def incoming(self) -> list[str | bytes]:
        """What the transport is to give out."""
        return [frame for way, frame in self.steps if way == "in"]

    @property
    def outgoing(self) -> list[str]:
        """What is to be sent."""
        return [str(frame) for way, frame in self.steps if way == "out"]


@attrs.define
class Rig:
    """A transport that is not connected yet, and what is known of its far side.

    ``received`` gives what the far side got so far, in order; None where it cannot be
    asked. ``target`` is where the transport is to connect.
    """

    transport: Transport
    target: Target = attrs.field(factory=lambda: default_target())
    received: Callable[[], Sequence[str]] | None = None


def default_target(base_url: str = "http://127.0.0.1/v1") -> Target:
    """A target for transports that do not look at it."""
    return Target(
        base_url=base_url,
        credentials=Credentials("sk-test"),
        session={"type": "realtime", "model": "a-model"},
        timeout=PATIENCE,
    )


async def follow(
    script: Script,
    *,
    send: Callable[[str | bytes], Coroutine[Any, Any, None]],
    received: Callable[[], Sequence[str]],
) -> None:
    """Be a far side: do the steps of a script. How it ends is the caller's."""
    waited_for = 0
    for way, frame in script.steps:
        if way == "in":
            await send(frame)
            continue
        waited_for += 1
        while len(received()) < waited_for:
            await asyncio.sleep(0.001)
