"""Local facts: recorded in the same log as the frames, never sent or received."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LocalEvent
from .types import LocalEventType

__all__ = [
    "Cleared",
    "Closed",
    "Connected",
    "Connecting",
    "Disconnected",
    "Forgotten",
    "Gap",
    "Muted",
    "Played",
    "Requested",
    "Tick",
    "ToolFinished",
    "ToolStarted",
    "VolumeSet",
]


class Connecting(LocalEvent, frozen=True, tag=LocalEventType.CONNECTING.value):
    """A connection attempt begins, in the epoch of this record."""


class Connected(LocalEvent, frozen=True, tag=LocalEventType.CONNECTED.value):
    """The connection is open: frames can be sent and received."""


class Disconnected(LocalEvent, frozen=True, tag=LocalEventType.DISCONNECTED.value):
    """The connection has ended.

    ``code`` is the WebSocket close code, if any. ``expected``: the client closed it, or
    the service closed it as agreed. ``retrying``: another attempt follows.
    """

    code: int | None = None
    reason: str | None = None
    expected: bool = False
    retrying: bool = False


class Played(LocalEvent, frozen=True, tag=LocalEventType.PLAYED.value):
    """The user has heard the first ``ms`` of this audio part."""

    STRICT: ClassVar = LocalEvent.STRICT | {"ms"}
    item_id: str
    content_index: int = 0
    ms: int = 0


class Muted(LocalEvent, frozen=True, tag=LocalEventType.MUTED.value):
    """The microphone was muted or unmuted."""

    STRICT: ClassVar = LocalEvent.STRICT | {"muted"}
    muted: bool


class VolumeSet(LocalEvent, frozen=True, tag=LocalEventType.VOLUME.value):
    """The speaker's volume was set, from 0 to 1."""

    STRICT: ClassVar = LocalEvent.STRICT | {"volume"}
    volume: float


class Cleared(LocalEvent, frozen=True, tag=LocalEventType.CLEARED.value):
    """The user cleared the transcripts shown so far; later ones are shown again."""


class Requested(LocalEvent, frozen=True, tag=LocalEventType.REQUESTED.value):
    """The application requested this client event; it is sent as soon as possible."""

    event: dict[str, Any]


class ToolStarted(LocalEvent, frozen=True, tag=LocalEventType.TOOL_STARTED.value):
    """A local tool started to run for this call."""

    call_id: str


class ToolFinished(LocalEvent, frozen=True, tag=LocalEventType.TOOL_FINISHED.value):
    """A local tool finished; ``error`` is one line, set if the tool failed."""

    call_id: str
    error: str | None = None


class Tick(LocalEvent, frozen=True, tag=LocalEventType.TICK.value):
    """Time has passed: see the record's ``at``."""


class Gap(
    LocalEvent,
    frozen=True,
    tag=LocalEventType.GAP.value,
    rename={"from_seq": "from", "to_seq": "to"},
):
    """Records are missing here, from ``from_seq`` to ``to_seq`` if known."""

    reason: str
    from_seq: int | None = None
    to_seq: int | None = None


class Closed(LocalEvent, frozen=True, tag=LocalEventType.CLOSED.value):
    """The session is closed; its state stays in the store."""


class Forgotten(LocalEvent, frozen=True, tag=LocalEventType.FORGOTTEN.value):
    """The session is removed from the state."""
