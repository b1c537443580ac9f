"""Facts that no wire carries. Each is a record in the same log as the frames."""

from __future__ import annotations

from typing import Any

from duologue.core.events.types import LocalEventType

from .base import LocalEvent

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
    """A transport begins to connect. Its record's epoch is the new one."""


class Connected(LocalEvent, frozen=True, tag=LocalEventType.CONNECTED.value):
    """Frames can be exchanged."""


class Disconnected(LocalEvent, frozen=True, tag=LocalEventType.DISCONNECTED.value):
    """The connection is gone.

    ``code`` is a WebSocket close code where there is one; ``expected`` says that it
    was us, or the service by agreement; ``retrying`` that another one is tried.
    """

    code: int | None = None
    reason: str | None = None
    expected: bool = False
    retrying: bool = False


class Played(LocalEvent, frozen=True, tag=LocalEventType.PLAYED.value):
    """The user has heard the first ``ms`` of this audio part."""

    item_id: str
    content_index: int = 0
    ms: int = 0


class Muted(LocalEvent, frozen=True, tag=LocalEventType.MUTED.value):
    """The microphone was muted or opened."""

    muted: bool


class VolumeSet(LocalEvent, frozen=True, tag=LocalEventType.VOLUME.value):
    """The speaker's volume, 0 to 1."""

    volume: float


class Cleared(LocalEvent, frozen=True, tag=LocalEventType.CLEARED.value):
    """The user cleared the transcripts shown so far; later ones show again."""


class Requested(LocalEvent, frozen=True, tag=LocalEventType.REQUESTED.value):
    """The application wished for this client event; it is sent when it can be."""

    event: dict[str, Any]


class ToolStarted(LocalEvent, frozen=True, tag=LocalEventType.TOOL_STARTED.value):
    """A function of ours began to run for this call."""

    call_id: str


class ToolFinished(LocalEvent, frozen=True, tag=LocalEventType.TOOL_FINISHED.value):
    """A function of ours ended; ``error`` is its one line if it failed."""

    call_id: str
    error: str | None = None


class Tick(LocalEvent, frozen=True, tag=LocalEventType.TICK.value):
    """Time has passed: the record's ``at``."""


class Gap(
    LocalEvent,
    frozen=True,
    tag=LocalEventType.GAP.value,
    rename={"from_seq": "from", "to_seq": "to"},
):
    """Records are missing here, from ``from_seq`` to ``to_seq`` where known."""

    reason: str
    from_seq: int | None = None
    to_seq: int | None = None


class Closed(LocalEvent, frozen=True, tag=LocalEventType.CLOSED.value):
    """The session is over; its state stays."""


class Forgotten(LocalEvent, frozen=True, tag=LocalEventType.FORGOTTEN.value):
    """The session is to leave the state."""
