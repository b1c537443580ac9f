"""The state: immutable values, nested so that what changes often is small.

`State` holds sessions by our own id. A `Session` has eight nodes; a text delta
rebuilds a part, its item, the session and the state, nothing else. Nothing in it is a
connection, a task or audio. "Nothing changed" means that every node but `tally` is
the same object.

The nodes are Structs and not attrs classes because one is made for every event, at a
third of the price (`benchmarks/`). They hold no cycles, so the collector need not know
them. `msgspec.structs.replace` copies one with other fields.
"""

from __future__ import annotations

from immutables import Map
from msgspec import Struct

from ..events.config import (
    AudioConfig,
    AudioInput,
    RealtimeSessionConfig,
    TranscriptionSessionConfig,
)
from ..events.types import SessionKind, SessionStatus
from .dedup import EMPTY_DEDUP, Dedup, Ignored, SentEvent
from .rope import EMPTY_ROPE, Rope
from .sequence import NO_IDS, IdSequence
from .usage import NO_USAGE, Problem, RateLimit, SessionUsage, TranscriptionUsage, Usage

__all__ = [
    "Activity",
    "Call",
    "CallLink",
    "Connection",
    "Conversation",
    "Dedup",
    "DtmfKey",
    "Ignored",
    "Item",
    "McpCall",
    "McpTool",
    "Part",
    "Placement",
    "Problem",
    "RateLimit",
    "Response",
    "Responses",
    "Segment",
    "SentEvent",
    "Session",
    "SessionUsage",
    "State",
    "TranscriptionUsage",
    "Translation",
    "Truncation",
    "Turn",
    "Usage",
]


_NO_AUDIO_INPUT = AudioInput()


class Connection(Struct, frozen=True, gc=False):
    """Whether and to what a session is connected.

    ``epoch`` counts its connections from 0; ``server_id`` is the service's name for
    it (``sess_…``); ``expires_at`` in seconds since the Unix epoch; ``requested`` is
    the configuration last asked for as JSON text, keys in order; ``confirmed`` is the
    one in force, its free-form JSON canonical (that of a translation stands in its
    `Translation`).
    """

    status: SessionStatus = SessionStatus.CONNECTING
    epoch: int = 0
    kind: SessionKind = SessionKind.REALTIME
    server_id: str | None = None
    expires_at: float | None = None
    requested: str | None = None
    confirmed: RealtimeSessionConfig | TranscriptionSessionConfig | None = None
    reason: str | None = None

    @property
    def audio_input(self) -> AudioInput:
        """The confirmed configuration of the user's audio; empty if unknown."""
        audio = self.confirmed.audio if self.confirmed is not None else None
        if not isinstance(audio, AudioConfig) or not isinstance(
            audio.input, AudioInput
        ):
            return _NO_AUDIO_INPUT
        return audio.input


class Segment(Struct, frozen=True, gc=False):
    """A stretch of a user's audio with its speaker; times are seconds of it."""

    id: str
    speaker: str
    start: float
    end: float
    text: str


class Part(Struct, frozen=True, gc=False):
    """A piece of an item's content.

    ``type`` as in the conversation (``input_audio``, ``output_text``, …); ``text`` is
    its text or transcript; ``final`` says that it will not grow; ``audio_bytes`` is
    the audio received for it; ``failure`` why it could not be transcribed;
    ``segments`` who said which of it, where a model tells speakers apart.
    """

    type: str
    text: Rope = EMPTY_ROPE
    final: bool = False
    audio_bytes: int = 0
    failure: str | None = None
    segments: tuple[Segment, ...] = ()


class Truncation(Struct, frozen=True, gc=False):
    """An item was cut off: after how many ms, and an estimate of what was heard."""

    audio_end_ms: int
    heard: str | None = None
    confirmed: bool = True


class Placement(Struct, frozen=True, gc=False):
    """Where and when an item came to stand.

    ``epoch`` is the connection that brought it; ``previous_item_id`` is meaningful
    once it is ``placed``. Times are seconds since
    the Unix epoch: ``started_at`` the first mention, ``finished_at`` when it was
    complete, ``speech_ended_at`` when the user fell silent. ``phase`` is what a
    reasoning model says with it: ``commentary`` or ``final_answer``.
    """

    epoch: int = 0
    response_id: str | None = None
    previous_item_id: str | None = None
    placed: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    speech_ended_at: float | None = None
    played_ms: int | None = None
    phase: str | None = None


class McpTool(Struct, frozen=True, gc=False):
    """A tool that an MCP server offers; ``json`` is all of it, canonical."""

    name: str
    json: str


class McpCall(Struct, frozen=True, gc=False):
    """What only items about an MCP server have.

    ``approval_request_id`` is the item that asks whether the tool may be called,
    ``approve`` the answer (None while there is none); ``tools`` are those of a list.
    """

    server_label: str = ""
    approval_request_id: str | None = None
    approve: bool | None = None
    tools: tuple[McpTool, ...] = ()


class Call(Struct, frozen=True, gc=False):
    """A tool that the model wants run, or what it gave.

    ``arguments`` is JSON text. It is ``final`` when it will not grow, and
    ``complete`` when it is whole: that of an interrupted call is cut off for good.
    ``output`` is what the tool gave, ``error`` why it failed; it is ``answered`` once
    its output was sent or its tool has finished, and nobody need run it; ``running``
    while a tool is at work, ours or that of an MCP server.
    """

    call_id: str | None = None
    name: str = ""
    arguments: Rope = EMPTY_ROPE
    final: bool = False
    complete: bool = False
    output: str | None = None
    error: str | None = None
    running: bool = False
    answered: bool = False
    mcp: McpCall | None = None

    @property
    def server_label(self) -> str | None:
        """The MCP server that it is about."""
        return None if self.mcp is None else self.mcp.server_label


class Item(Struct, frozen=True, gc=False):
    """One entry of a conversation. ``status`` by `phases.ITEM`; deleted: a tombstone.

    ``call`` is there for calls, their outputs, approvals and lists of tools.
    """

    id: str
    type: str = "message"
    role: str | None = None
    status: str = "in_progress"
    parts: tuple[Part, ...] = ()
    placement: Placement = Placement()
    truncation: Truncation | None = None
    call: Call | None = None


class CallLink(Struct, frozen=True, gc=False):
    """The items that speak of one call: what asks for it, and what it gave."""

    call: str | None = None
    output: str | None = None


class Translation(Struct, frozen=True, gc=False):
    """The two running texts of a translation: what was said, and what it means.

    ``…_ms`` is how far into the audio each text reaches; ``confirmed`` is the
    configuration in force as JSON text, keys in order; ``audio_bytes`` the audio
    received; ``closed`` says that all of it was sent.
    """

    input: Rope = EMPTY_ROPE
    output: Rope = EMPTY_ROPE
    input_ms: int | None = None
    output_ms: int | None = None
    audio_bytes: int = 0
    confirmed: str | None = None
    closed: bool = False


class Conversation(Struct, frozen=True, gc=False):
    """How the items stand.

    ``order`` names them all, tombstones too. ``waiting`` are those whose predecessor
    is not known yet, by that predecessor. ``anchor`` is the last item of the epochs
    before: no predecessor means behind it. ``cleared_after`` is the item up to which
    the user cleared the transcripts. ``calls`` finds the items of a call by its
    ``call_id``, ``last_output`` is the item of a function's output that came last.
    ``gaps`` are the items behind which records are missing (the last
    hundred; ``""`` is the front): words may be missing there. ``translation`` is what
    a translation has in place of items.
    """

    order: IdSequence = NO_IDS
    orphans: Map[str, tuple[str, ...]] = Map()
    epoch_boundary: str | None = None
    cleared_after: str | None = None
    id: str | None = None
    calls: Map[str, CallLink] = Map()
    gaps: tuple[str, ...] = ()
    translation: Translation | None = None
    last_output: str | None = None


class Turn(Struct, frozen=True, gc=False):
    """When the steps of a turn happened, seconds since the Unix epoch.

    ``audio_generated_at`` is when the service had made all of the audio,
    ``audio_finished_at`` when all of it was played.
    """

    item_id: str | None = None
    speech_ended_at: float | None = None
    created_at: float | None = None
    first_text_at: float | None = None
    first_audio_at: float | None = None
    audio_finished_at: float | None = None
    interrupted_at: float | None = None
    barge_in_at: float | None = None
    audio_generated_at: float | None = None


class Response(Struct, frozen=True, gc=False):
    """What became of one response.

    ``status`` by `phases.RESPONSE`; ``reason`` says why it did not complete;
    ``in_conversation`` is false for one out of band; ``item_ids`` are its output.
    Until the service has ``announced`` it, by ``created`` or ``done``, only its output
    is known. ``epoch`` is the connection that brought it.
    """

    id: str
    status: str = "in_progress"
    reason: str | None = None
    in_conversation: bool = True
    item_ids: tuple[str, ...] = ()
    metadata: Map[str, str] = Map()
    turn: Turn = Turn()
    announced: bool = False
    epoch: int = 0


class Responses(Struct, frozen=True, gc=False):
    """All responses in the order in which they began; ``active`` is the one in work.

    ``wished`` is the ``response.create`` that the application asked for and that is
    not sent yet, as canonical JSON; ``asked`` the one that went out and was not
    answered yet, neither by ``response.created`` nor by an error.
    """

    by_id: Map[str, Response] = Map()
    order: IdSequence = NO_IDS
    active: str | None = None
    queued: str | None = None
    in_flight: str | None = None


class DtmfKey(Struct, frozen=True, gc=False):
    """A telephone key that the caller pressed; the time is the service's."""

    key: str
    received_at: int


class Activity(Struct, frozen=True, gc=False):
    """What is going on just now.

    ``speaking_item`` is the user's item while they speak, ``last_spoken`` the one
    before; ``playing`` the response whose audio is heard, at a ``volume`` of 0 to 1;
    ``keys`` the last telephone keys; ``ticked_at`` the time of the last tick.
    """

    speaking_item: str | None = None
    speech_started_at: float | None = None
    unanswered_item: str | None = None
    playing: str | None = None
    muted: bool = False
    volume: float = 1.0
    dtmf_keys: tuple[DtmfKey, ...] = ()
    last_tick_at: float | None = None


class Session(Struct, frozen=True, gc=False):
    """One session over all its connections."""

    id: str
    connection: Connection = Connection()
    items: Map[str, Item] = Map()
    conversation: Conversation = Conversation()
    responses: Responses = Responses()
    activity: Activity = Activity()
    usage: SessionUsage = NO_USAGE
    problems: tuple[Problem, ...] = ()
    dedup: Dedup = EMPTY_DEDUP

    def item(self, item_id: str | None) -> Item | None:
        """The item of this id; None where there is none, or no id."""
        return None if item_id is None else self.items.get(item_id)

    def response(self, response_id: str | None) -> Response | None:
        """The response of this id; None where there is none, or no id."""
        return None if response_id is None else self.responses.by_id.get(response_id)


class State(Struct, frozen=True, gc=False):
    """All sessions, by our own id."""

    sessions: Map[str, Session] = Map()
