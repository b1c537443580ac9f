"""Local facts: recorded in the same log as the frames, never sent or received."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LocalEvent
from .items import Value
from .types import LocalEventType

__all__ = [
    "Cleared",
    "Closed",
    "Closing",
    "ConnectFailed",
    "ConnectPolicy",
    "Connected",
    "Connecting",
    "Disconnected",
    "Forgotten",
    "Gap",
    "Interrupted",
    "Muted",
    "Played",
    "Requested",
    "Switched",
    "Tick",
    "ToolFinished",
    "ToolStarted",
    "VolumeSet",
]


class ConnectPolicy(Value, frozen=True):
    """How a session connects; times are in seconds.

    ``timeout`` limits the first connection with all its attempts, and each attempt at a
    later one. If ``reconnects`` is false, a lost connection ends the session. The other
    fields are those of `duologue.core.Backoff`.
    """

    timeout: float
    reconnects: bool
    first: float
    longest: float
    patience: float
    longest_asked: float
    steady: float


class Connecting(LocalEvent, frozen=True, tag=LocalEventType.CONNECTING.value):
    """A connection attempt begins, in the epoch of this record.

    ``attempt`` counts the attempts of the epoch from 1. A ``successor`` is connected
    while the current connection is open. ``new_key``: the key was refused, so another
    one is fetched. ``reason`` says why the session reconnects. The first record of a
    live session has its ``policy``.
    """

    attempt: int = 1
    successor: bool = False
    new_key: bool = False
    reason: str | None = None
    policy: ConnectPolicy | None = None


class Connected(LocalEvent, frozen=True, tag=LocalEventType.CONNECTED.value):
    """The connection is open: frames can be sent and received.

    ``rejoins``: it joins the same session of the service again, as a sideband does; but
    if the service then names another session, that is a new one.
    """

    attempt: int = 1
    successor: bool = False
    rejoins: bool = False


class ConnectFailed(LocalEvent, frozen=True, tag=LocalEventType.CONNECT_FAILED.value):
    """An attempt to connect has failed.

    ``stage`` is ``key`` if no key could be fetched, else ``connect``; ``status`` is the
    HTTP status, None if there was no answer; ``retry_after`` is in seconds.
    ``renews``: another key can be fetched; ``can_repeat``: another attempt is possible.
    ``chance`` is a random number from 0 to 1, for the delay of the next attempt.
    """

    attempt: int = 1
    successor: bool = False
    stage: str = "connect"
    status: int | None = None
    reason: str | None = None
    retry_after: float | None = None
    renews: bool = False
    can_repeat: bool = False
    chance: float = 0.0


class Disconnected(LocalEvent, frozen=True, tag=LocalEventType.DISCONNECTED.value):
    """The connection has ended.

    ``code`` is the WebSocket close code, if any. ``expected``: the client closed it, or
    the service closed it as agreed. ``lost``: a new connection may succeed.
    ``can_repeat`` and ``chance`` (0 to 1) as in `ConnectFailed`. ``retrying``, in old
    logs: another attempt follows.
    """

    code: int | None = None
    reason: str | None = None
    expected: bool = False
    retrying: bool = False
    lost: bool = False
    can_repeat: bool = False
    chance: float = 0.0


class Switched(LocalEvent, frozen=True, tag=LocalEventType.SWITCHED.value):
    """The successor, the connection of this record's epoch, carries the session now."""


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
    """The application requested this client event; it is sent as soon as possible.

    ``item_id`` is the message that a requested response is to answer, if there is one.
    """

    event: dict[str, Any]
    item_id: str | None = None


class Interrupted(LocalEvent, frozen=True, tag=LocalEventType.INTERRUPTED.value):
    """The application interrupted the assistant, and withdrew what it requested."""


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


class Closing(LocalEvent, frozen=True, tag=LocalEventType.CLOSING.value):
    """The session is to be closed, by the ``application`` or the ``client``."""

    by: str = "application"


class Closed(LocalEvent, frozen=True, tag=LocalEventType.CLOSED.value):
    """The session is closed; its state stays in the store."""


class Forgotten(LocalEvent, frozen=True, tag=LocalEventType.FORGOTTEN.value):
    """The session is removed from the state."""
