"""The state: immutable values, nested so that what changes often is small.

`State` holds sessions by our own id. A `Session` has eight nodes; a text delta
rebuilds a part, its item, the session and the state, nothing else. Nothing in it is a
connection, a task or audio. "Nothing changed" means that every node but `tally` is
the same object.
"""

from __future__ import annotations

import attrs
from immutables import Map

from .events.config import RealtimeSessionConfig, TranscriptionSessionConfig
from .order import NOTHING, Order
from .text import EMPTY, Text
from .types import SessionKind, SessionStatus

__all__ = [
    "Activity",
    "Connection",
    "Conversation",
    "FunctionCall",
    "Item",
    "Ledger",
    "Part",
    "Placement",
    "Problem",
    "Response",
    "Responses",
    "Session",
    "State",
    "Tally",
    "Truncation",
    "Turn",
    "Usage",
]


@attrs.frozen
class Connection:
    """Whether and to what a session is connected.

    ``epoch`` counts its connections from 0; ``server_id`` is the service's name for
    it (``sess_…``); ``expires_at`` in seconds since the Unix epoch; ``requested`` is
    the configuration last asked for as JSON text, keys in order; ``confirmed`` is the
    one in force.
    """

    status: SessionStatus = SessionStatus.CONNECTING
    epoch: int = 0
    kind: SessionKind = SessionKind.REALTIME
    server_id: str | None = None
    expires_at: float | None = None
    requested: str | None = None
    confirmed: RealtimeSessionConfig | TranscriptionSessionConfig | None = None
    reason: str | None = None


@attrs.frozen
class Part:
    """A piece of an item's content.

    ``type`` as in the conversation (``input_audio``, ``output_text``, …); ``text`` is
    its text or transcript; ``final`` says that it will not grow; ``audio_bytes`` is
    the audio received for it; ``failure`` why it could not be transcribed.
    """

    type: str
    text: Text = EMPTY
    final: bool = False
    audio_bytes: int = 0
    failure: str | None = None


@attrs.frozen
class Truncation:
    """An item was cut off: after how many ms, and an estimate of what was heard."""

    audio_end_ms: int
    heard: str | None = None
    confirmed: bool = True


@attrs.frozen
class Placement:
    """Where and when an item came to stand.

    ``epoch`` is the connection that brought it; ``previous_item_id`` is meaningful
    once it is ``placed``. Times are seconds since
    the Unix epoch: ``started_at`` the first mention, ``finished_at`` when it was
    complete, ``speech_ended_at`` when the user fell silent.
    """

    epoch: int = 0
    response_id: str | None = None
    previous_item_id: str | None = None
    placed: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    speech_ended_at: float | None = None
    played_ms: int | None = None


@attrs.frozen
class FunctionCall:
    """A function that the model wants run, or what it gave.

    ``arguments`` is JSON text, cut off while not ``complete``.
    """

    call_id: str | None = None
    name: str = ""
    arguments: Text = EMPTY
    complete: bool = False
    output: str | None = None


@attrs.frozen
class Item:
    """One entry of a conversation. ``status`` may be ``deleted``: a tombstone."""

    id: str
    type: str = "message"
    role: str | None = None
    status: str = "in_progress"
    parts: tuple[Part, ...] = ()
    placement: Placement = Placement()
    truncation: Truncation | None = None
    call: FunctionCall | None = None


@attrs.frozen
class Conversation:
    """How the items stand.

    ``order`` names them all, tombstones too. ``waiting`` are those whose predecessor
    is not known yet, by that predecessor. ``anchor`` is the last item of the epochs
    before: no predecessor means behind it. ``cleared_after`` is the item up to which
    the user cleared the transcripts.
    """

    order: Order = NOTHING
    waiting: Map[str, tuple[str, ...]] = Map()
    anchor: str | None = None
    cleared_after: str | None = None


@attrs.frozen
class Turn:
    """When the steps of a turn happened, seconds since the Unix epoch."""

    item_id: str | None = None
    speech_ended_at: float | None = None
    created_at: float | None = None
    first_text_at: float | None = None
    first_audio_at: float | None = None
    audio_finished_at: float | None = None
    interrupted_at: float | None = None
    barge_in_at: float | None = None


@attrs.frozen
class Response:
    """What became of one response.

    ``reason`` says why it did not complete; ``in_conversation`` is false for one out
    of band; ``item_ids`` are its output. Until the service has ``announced`` it, by
    ``created`` or ``done``, only its output is known.
    """

    id: str
    status: str = "in_progress"
    reason: str | None = None
    in_conversation: bool = True
    item_ids: tuple[str, ...] = ()
    metadata: Map[str, str] = Map()
    turn: Turn = Turn()
    announced: bool = False


@attrs.frozen
class Responses:
    """All responses in the order in which they began; ``active`` is the one in work."""

    by_id: Map[str, Response] = Map()
    order: Order = NOTHING
    active: str | None = None


@attrs.frozen
class Activity:
    """What is going on just now.

    ``speaking_item`` is the user's item while they speak, ``last_spoken`` the one
    before; ``playing`` the response whose audio is heard.
    """

    speaking_item: str | None = None
    speech_started_at: float | None = None
    last_spoken: str | None = None
    playing: str | None = None
    muted: bool = False
    volume: float = 1.0


@attrs.frozen
class Usage:
    """Tokens so far, by modality; the cached ones are part of the input."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    total: int = 0


@attrs.frozen
class Problem:
    """Something that went wrong, for a person to read."""

    kind: str
    message: str
    code: str | None = None
    item_id: str | None = None
    at: float | None = None


@attrs.frozen
class Ledger:
    """What adds up: usage and problems (the last hundred)."""

    usage: Usage = Usage()
    problems: tuple[Problem, ...] = ()


@attrs.frozen
class Tally:
    """Bookkeeping: counters, and the window of event ids seen, newest two generations.

    Ids stand there as ``epoch:event_id``, because they are unique within a connection
    only. One counts as seen for at least the next 512.
    """

    events: int = 0
    unknown: int = 0
    malformed: int = 0
    duplicate: int = 0
    late: int = 0
    recent: Map[str, bool] = Map()
    older: Map[str, bool] = Map()


@attrs.frozen
class Session:
    """One session over all its connections."""

    id: str
    connection: Connection = Connection()
    items: Map[str, Item] = Map()
    conversation: Conversation = Conversation()
    responses: Responses = Responses()
    activity: Activity = Activity()
    ledger: Ledger = Ledger()
    tally: Tally = Tally()


@attrs.frozen
class State:
    """All sessions, by our own id."""

    sessions: Map[str, Session] = Map()
