"""The harness of the contract tests: a script for the far side, and a transport."""

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

#: Seconds until a waiting test fails.
PATIENCE = 20.0

#: "in": the far side sends this frame. "out": it waits for this frame.
Step = tuple[Literal["in", "out"], str | bytes]
#: The end: the connection stays open, is closed with a handshake, or is lost.
Ending = Literal["open", "closed", "lost"]


def event(number: int, **fields: Any) -> str:
    """A frame of an event type that does not exist."""
    return json.dumps({"type": f"test.{number}", **fields})


@attrs.frozen
class Script:
    """The steps of the far side after the transport has connected, in order.

    A frame of ``bytes`` is text that is not UTF-8.
    """

    steps: tuple[Step, ...] = ()
    ending: Ending = "open"

    @classmethod
    def of(cls, *steps: Step, ending: Ending = "open") -> Script:
        """A script with these steps."""
        return cls(steps, ending)

    @property
    def incoming(self) -> list[str | bytes]:
        """The frames that the transport must deliver."""
        return [frame for way, frame in self.steps if way == "in"]

    @property
    def outgoing(self) -> list[str]:
        """The frames that the test must send."""
        return [str(frame) for way, frame in self.steps if way == "out"]


@attrs.define
class Rig:
    """A transport that is not connected yet, with its target and its far side.

    ``received`` returns the frames that the far side has received so far, in order;
    None if the far side does not record them.
    """

    transport: Transport
    target: Target = attrs.field(factory=lambda: default_target())
    received: Callable[[], Sequence[str]] | None = None


def default_target(base_url: str = "http://127.0.0.1/v1") -> Target:
    """A target for transports that ignore it."""
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
    """Run the steps of a script as the far side. The caller handles its ending."""
    expected = 0
    for way, frame in script.steps:
        if way == "in":
            await send(frame)
            continue
        expected += 1
        while len(received()) < expected:
            await asyncio.sleep(0.001)
