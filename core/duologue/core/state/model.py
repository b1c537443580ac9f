"""The state: immutable nodes, divided so that a frequent change copies little.

`State` maps session ids to sessions. A `Session` has eight nodes, its slices; a text
delta copies a part, its item, the session and the state. The state holds no
connections, tasks or audio. If nothing changed, every node except ``dedup`` is the
same object.

The nodes are Structs, because several are made for every event: an attrs class costs
three times as much (see `benchmarks/`). They form no reference cycles, so the garbage
collector ignores them. `msgspec.structs.replace` copies a node with changed fields.
"""

from __future__ import annotations

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from ..events.config import (
    AudioConfig,
    AudioInput,
    RealtimeSessionConfig,
    TranscriptionSessionConfig,
)
from ..events.local import ConnectFailed, ConnectPolicy
from ..events.types import SessionKind, SessionStatus
from .dedup import EMPTY_DEDUP, Dedup, Ignored, SentEvent
from .id_sequence import NO_IDS, IdSequence
from .rope import EMPTY_ROPE, Rope
from .usage import (
    NO_USAGE,
    KnownUsage,
    Problem,
    RateLimit,
    SessionUsage,
    TranscriptionUsage,
    Usage,
)

__all__ = [
    "Activity",
    "Call",
    "CallLink",
    "ConfigChange",
    "Connection",
    "Conversation",
    "Dedup",
    "Dialing",
    "DtmfKey",
    "Identity",
    "Ignored",
    "Input",
    "Item",
    "KnownUsage",
    "McpCall",
    "McpTool",
    "Names",
    "OutOfBandRequest",
    "Part",
    "Placement",
    "Problem",
    "RateLimit",
    "Reconnection",
    "Response",
    "Responses",
    "RestoredItem",
    "Segment",
    "SentEvent",
    "Session",
    "SessionUsage",
    "State",
    "TranscriptionUsage",
    "Translation",
    "Truncation",
    "Turn",
    "UnconfirmedItem",
    "Usage",
]


_NO_AUDIO_INPUT = AudioInput()


class Dialing(Struct, frozen=True, gc=False):
    """The next connection of a session, until it carries the session.

    ``attempt`` is the number of its last attempt, 0 before the first; ``running``: that
    attempt has not ended; ``new_key``: a refused key was replaced. ``since`` is the
    beginning of the series of attempts, ``failures`` their number for the back-off;
    ``failure`` and ``failed_at`` are the last one, or the loss of the previous
    connection. ``connected_at`` is set if it is connected; then ``greeted``,
    ``rejoined``, ``server_id``, ``expires_at`` and ``confirmed`` are as in
    `Connection`, and so are ``changes`` and ``updates_in_flight``, of what a successor
    was sent. ``reason`` says why a hand-over is made. Times are in seconds since the
    Unix epoch.
    """

    epoch: int
    attempt: int = 0
    running: bool = False
    new_key: bool = False
    since: float | None = None
    failures: int = 0
    failure: ConnectFailed | None = None
    failed_at: float | None = None
    connected_at: float | None = None
    greeted: bool = False
    server_id: str | None = None
    expires_at: float | None = None
    confirmed: RealtimeSessionConfig | TranscriptionSessionConfig | None = None
    reason: str | None = None
    changes: tuple[ConfigChange, ...] = ()
    updates_in_flight: tuple[float, ...] = ()
    rejoined: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it is connected or being connected."""
        return self.running or self.connected_at is not None


class ConfigChange(Struct, frozen=True, gc=False):
    """A change of the configuration that the service has not confirmed yet.

    ``config`` is canonical JSON; ``sent`` the number of the event that sent it on this
    connection (0 before), ``event_id`` its id. ``is_restored``: it is not a change, but
    restores the configuration on this connection. ``given_up``: it was not answered in
    time, or after a later one.
    """

    config: str
    sent: int = 0
    event_id: str | None = None
    is_restored: bool = False
    given_up: bool = False


class Reconnection(Struct, frozen=True, gc=False):
    """A later connection of a session, and why it was made.

    It was connected at ``at``, in seconds since the Unix epoch, by attempt number
    ``attempt``. ``hand_over``: it replaced a connection that was still open.
    """

    epoch: int
    attempt: int = 1
    reason: str | None = None
    hand_over: bool = False
    at: float | None = None


class Connection(Struct, frozen=True, gc=False):
    """The connection of a session.

    ``epoch`` counts its connections from 0; ``server_id`` is the id that the service
    gave it (``sess_…``); ``expires_at`` is in seconds since the Unix epoch;
    ``requested`` is the requested configuration as canonical JSON, ``accepted`` the
    part of it that the service has confirmed, and ``changes`` are the requested changes
    that it has neither confirmed nor refused; ``last_accepted`` is the event that sent
    the last accepted change, and ``accepted`` before it; ``confirmed`` is the
    configuration in force, except for translations: see `Translation`.
    ``updates_in_flight`` are the times at which the unanswered ``session.update`` were
    sent. ``reason`` says why the connection ended. ``created_ids`` are the session ids
    in ``session.created``, the last one that of this connection, and ``log_epoch`` is
    the epoch in its records, if the log does not number its connections: see
    `log.epochs`. If it does, both are None.

    The other fields are set in live sessions only. ``policy`` says how to connect;
    ``opened_at`` is the time at which the connection opened, in seconds since the Unix
    epoch; ``greeted``: the service has sent its configuration; ``rejoined``: its
    session at the service is that of the previous connection; ``failures`` and
    ``since`` are those of the attempts to open it (see `Dialing`), which go on if the
    connection ends soon; ``closing`` says who closes the session; ``dialing``
    is the next connection; ``replaced`` is the epoch of the previous one, until it has
    ended after a hand-over; ``reconnections`` are the last hundred.
    """

    status: SessionStatus = SessionStatus.CONNECTING
    epoch: int = 0
    kind: SessionKind = SessionKind.REALTIME
    server_id: str | None = None
    expires_at: float | None = None
    requested: str | None = None
    confirmed: RealtimeSessionConfig | TranscriptionSessionConfig | None = None
    reason: str | None = None
    updates_in_flight: tuple[float, ...] = ()
    created_ids: tuple[str, ...] | None = ()
    log_epoch: int | None = None
    policy: ConnectPolicy | None = None
    opened_at: float | None = None
    greeted: bool = False
    failures: int = 0
    since: float | None = None
    closing: str | None = None
    dialing: Dialing | None = None
    accepted: str | None = None
    changes: tuple[ConfigChange, ...] = ()
    reconnections: tuple[Reconnection, ...] = ()
    rejoined: bool = False
    replaced: int | None = None
    last_accepted: tuple[str | None, str] | None = None

    @property
    def base(self) -> str:
        """The configuration to restore first, as canonical JSON.

        The accepted one, or else the first that was requested.
        """
        if self.accepted is not None:
            return self.accepted
        return self.changes[0].config if self.changes else self.requested or "{}"

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
    """A segment of user audio with its speaker; times are in seconds of the audio."""

    id: str
    speaker: str
    start: float
    end: float
    text: str


class Part(Struct, frozen=True, gc=False):
    """A part of an item's content.

    ``type`` is its type in the conversation (``input_audio``, ``output_text``, …);
    ``text`` its text or transcript; a ``final`` text no longer grows; ``audio_bytes``
    is the size of the received audio; ``failure`` is the reason if the transcription
    failed; ``segments`` have the speakers, if the model supports diarisation.
    """

    type: str
    text: Rope = EMPTY_ROPE
    final: bool = False
    audio_bytes: int = 0
    failure: str | None = None
    segments: tuple[Segment, ...] = ()


class Truncation(Struct, frozen=True, gc=False):
    """The truncation of an item; ``heard`` is an estimate of the heard text.

    ``audio_end_ms`` is a position in its audio part. ``confirmed`` is false until the
    service reports the position.
    """

    audio_end_ms: int
    heard: str | None = None
    confirmed: bool = True


class Placement(Struct, frozen=True, gc=False):
    """The position and the times of an item.

    ``epoch`` is the connection on which it arrived; ``previous_item_id`` is valid once
    the item is ``placed``. Times are in seconds since the Unix epoch: ``started_at`` is
    the first event that names the item, ``finished_at`` its completion,
    ``speech_ended_at`` the end of the user's speech. ``played_ms`` is the playing
    position that the client recorded, in the part ``played_part``; ``tool_at`` the time
    at which the tool of a call last started or finished, or its output was sent.
    ``phase`` is set by a reasoning model: ``commentary`` or ``final_answer``.
    ``partial_index`` is the content index of its last transcript, if the service counts
    partial transcripts with it.
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
    tool_at: float | None = None
    played_part: int = 0
    partial_index: int | None = None


class McpTool(Struct, frozen=True, gc=False):
    """A tool of an MCP server; ``json`` is the whole tool as canonical JSON."""

    name: str
    json: str


class McpCall(Struct, frozen=True, gc=False):
    """The fields of items that concern an MCP server.

    ``approval_request_id`` is the item that requests the approval, ``approve`` the
    answer (None before it); ``tools`` are the tools of a list.
    """

    server_label: str = ""
    approval_request_id: str | None = None
    approve: bool | None = None
    tools: tuple[McpTool, ...] = ()


class Call(Struct, frozen=True, gc=False):
    """A call of a tool, or the output of one.

    ``arguments`` is JSON text. ``final`` arguments no longer grow; they are
    ``complete`` unless the call was interrupted. ``output`` is the result of the tool,
    ``error`` the reason if it failed. A call is ``running`` while its tool runs, here
    or on an MCP server, and ``answered`` once its output was sent or its tool finished:
    it must not be run again. ``alias`` is set if another call has its ``call_id``, or
    if it has none.
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
    alias: str | None = None

    @property
    def key(self) -> str | None:
        """The name of the call in this session; on the wire, it is the ``call_id``."""
        return self.alias or self.call_id

    @property
    def server_label(self) -> str | None:
        """The label of its MCP server; None for a function."""
        return None if self.mcp is None else self.mcp.server_label


class Item(Struct, frozen=True, gc=False):
    """An item of a conversation; a deleted one stays as a tombstone.

    ``status`` follows `transitions.ITEM`. Calls, their outputs, approvals and lists of
    tools have a ``call``.
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
    """The items of one call: the call itself, and its output.

    ``call_sent`` and ``output_sent``: this client has created that item.
    ``output_event`` is the event that sent the output last; ``output_refused``: the
    service has refused it. ``others`` are the keys of further calls with the same
    ``call_id``, until they have their output.
    """

    call: str | None = None
    output: str | None = None
    call_sent: bool = False
    output_sent: bool = False
    output_event: str | None = None
    output_refused: bool = False
    others: tuple[str, ...] = ()


class Translation(Struct, frozen=True, gc=False):
    """The two texts of a translation: the original and the translated one.

    ``input_ms`` and ``output_ms`` are the position in the audio that each text has
    reached; ``confirmed`` is the configuration in force as canonical JSON;
    ``audio_bytes`` the size of the received audio; after ``closed`` nothing follows.
    """

    input: Rope = EMPTY_ROPE
    output: Rope = EMPTY_ROPE
    input_ms: int | None = None
    output_ms: int | None = None
    audio_bytes: int = 0
    confirmed: str | None = None
    closed: bool = False


class UnconfirmedItem(Struct, frozen=True, gc=False):
    """A ``conversation.item.create`` (JSON text) that is not confirmed yet.

    It was accepted from the application, or is ``sent``. Or a sent
    ``conversation.item.delete``.
    """

    item_id: str
    event_id: str | None
    event: str
    sent: bool = True


class RestoredItem(Struct, frozen=True, gc=False):
    """An item of an earlier connection that was sent to the present one.

    ``event_id`` is the event that sent it last, number ``sent`` of the session, behind
    the item ``previous``, which the event ``after`` had sent. ``refused`` are the
    refused events. ``dropped``: it was refused for another reason than that its
    predecessor was missing.
    """

    event_id: str
    previous: str | None = None
    after: str | None = None
    refused: tuple[str, ...] = ()
    dropped: bool = False
    sent: int = 0


class Names(Struct, frozen=True, gc=False):
    """The ids in the state that differ from those of the service.

    ``uses`` maps an id of the service to what it was also used for, as ``(epoch, id in
    the state)``: the last 32 uses, oldest first. ``wire_ids`` maps an id in the state
    to ``(epoch, id of the service)``.
    """

    uses: Map[str, tuple[tuple[int, str], ...]] = Map()
    wire_ids: Map[str, tuple[int, str]] = Map()


class Identity(Struct, frozen=True, gc=False):
    """The names of items and of responses that differ from those of the service."""

    items: Names = Names()
    responses: Names = Names()


class Conversation(Struct, frozen=True, gc=False):
    """The order of the items, and indexes of them.

    ``order`` has the ids of all items, also of deleted ones. ``orphans`` maps an
    unknown predecessor to the items that must follow it. ``epoch_boundary`` is the last
    item of earlier epochs: an item with a null predecessor is placed after it.
    ``cleared_after`` is the last item that the user cleared from the transcript.
    ``calls`` maps the key of a call to its items, ``last_output`` is the latest
    function output, until this client requests a response. ``gaps`` are the last
    hundred items after which records are missing (``""``: before the first item), so
    text may be missing there. A translation session has ``translation`` in place of
    items. In live sessions, ``unconfirmed`` are the last sent items that may have to be
    sent again; some may be confirmed by now. ``restored`` are the items that were sent
    to restore the conversation on this connection; ``restoring`` maps the events that
    sent them to the items without an answer. ``deleting`` are the sent deletions
    without one. ``requested`` is the number of items that the application requested.
    ``identity`` is None unless the service uses an id again, or other ids than this
    client.
    ``names_places``: the service has named the predecessor of an item. ``asked_places``
    maps the items that this client created on this connection, and that are not placed
    yet, to the predecessor that it asked for (``""``: none).
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
    unconfirmed: tuple[UnconfirmedItem, ...] = ()
    restored: Map[str, RestoredItem] = Map()
    restoring: Map[str, str] = Map()
    deleting: tuple[UnconfirmedItem, ...] = ()
    requested: int = 0
    identity: Identity | None = None
    names_places: bool = False
    asked_places: Map[str, str] = Map()


class Turn(Struct, frozen=True, gc=False):
    """The times of a turn in seconds since the Unix epoch.

    ``item_id`` is the item of the user that the response answers.
    ``audio_generated_at`` is the time when the service had generated all audio,
    ``audio_finished_at`` when all of it had been played.
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


class Input(Struct, frozen=True, gc=False):
    """An item that a response answers, or is to answer.

    ``kind`` is ``spoken`` (also the silence of an idle timeout), ``typed``,
    ``tool_output`` (also an approval) or, before it is answered, ``reply``: a message
    of the assistant that a client adds. ``at`` is the end of the speech, or the time at
    which the item was sent; for that of another client, at which it arrived. In seconds
    since the Unix epoch. ``item_id`` is empty if the item was sent without an id and is
    not confirmed. ``sent``: this client sent it, with ``event_id``; ``confirmed``: the
    service has it; ``requested``: a ``response.create`` was sent after it;
    ``answered``: a response answered this output before those of the other calls.
    """

    item_id: str
    kind: str
    at: float | None = None
    event_id: str | None = None
    sent: bool = False
    confirmed: bool = False
    requested: bool = False
    answered: bool = False


class Response(Struct, frozen=True, gc=False):
    """A response.

    ``status`` follows `transitions.RESPONSE`; ``reason`` says why it did not complete;
    ``in_conversation`` is false if it is out of band; ``item_ids`` are its output
    items. Before it is ``announced`` by ``response.created`` or ``response.done``, only
    its output is known. ``epoch`` is the connection on which it arrived. ``stopping``:
    the application interrupted it. ``answers`` are the messages for which this client
    requested it, ``inputs`` all inputs that it answers, with its cause at the end; None
    if they are unknown. ``model`` is the session's model when it began; ``usage`` is
    None until the service reports it.
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
    stopping: bool = False
    answers: tuple[str, ...] = ()
    model: str | None = None
    usage: KnownUsage | None = None
    inputs: tuple[Input, ...] | None = None


class OutOfBandRequest(Struct, frozen=True, gc=False):
    """A sent ``response.create`` out of band, until the service answers it.

    ``epoch`` is its connection, ``at`` the time in seconds since the Unix epoch,
    ``metadata`` is canonical JSON (empty without metadata). ``is_second``: a request
    for the conversation was in flight before it.
    """

    event_id: str | None
    epoch: int = 0
    at: float | None = None
    metadata: str = ""
    is_second: bool = False


class Responses(Struct, frozen=True, gc=False):
    """All responses in the order in which they began; ``active`` is in progress.

    ``queued`` is the ``response.create`` that the application requested and that is not
    sent yet, as canonical JSON; ``in_flight`` is one that was sent, until
    ``response.created`` or an error arrives. ``queued_items`` and ``in_flight_items``
    are the messages and function outputs that these are to answer. ``waiting_since`` is
    the time of that request, or else the time at which the active response was last
    seen to grow, in seconds since the Unix epoch; ``progress`` is its size then, None
    if it began then. After an interruption, ``cancelling`` says that the response in
    flight is to be cancelled, and ``dismissed_item`` is the user's item whose answer is
    to be cancelled; ``withdrawn`` are the last messages and function outputs whose
    request it withdrew, ``withdrawing`` says that such a request may still be sent.
    ``answered`` is the request that the active response answers, until the response
    ends: the service may still refuse it. ``failed`` are the last messages whose
    request, or that themselves, were refused or not answered, each with the reason.
    ``refused_at`` are the times at which the service refused the queued request,
    because of a response that this client does not know. ``out_of_band`` are the sent
    requests out of band without an answer. ``names_conversation``: the service names
    the conversation of a response; false if it names none, None if that is unknown.
    """

    by_id: Map[str, Response] = Map()
    order: IdSequence = NO_IDS
    active: str | None = None
    queued: str | None = None
    in_flight: str | None = None
    waiting_since: float | None = None
    progress: int | None = None
    cancelling: bool = False
    dismissed_item: str | None = None
    queued_items: tuple[str, ...] = ()
    in_flight_items: tuple[str, ...] = ()
    answered: str | None = None
    withdrawn: tuple[str, ...] = ()
    withdrawing: bool = False
    failed: tuple[tuple[str, str], ...] = ()
    refused_at: tuple[float, ...] = ()
    out_of_band: tuple[OutOfBandRequest, ...] = ()
    names_conversation: bool | None = None


class DtmfKey(Struct, frozen=True, gc=False):
    """A telephone key (DTMF) that the caller pressed; the time is the service's."""

    key: str
    received_at: int


class Activity(Struct, frozen=True, gc=False):
    """The present activity of a session.

    ``speaking_item`` is the item that the user is speaking, since
    ``speech_started_at``; ``unanswered_item`` the last spoken item, until a response
    begins; ``unanswered`` are the inputs that the next response may answer;
    ``playing`` is the response that is playing, at a ``volume`` of 0 to 1;
    ``dtmf_keys`` are the last telephone keys, ``last_tick_at`` is the time of the last
    tick. Times are in seconds since the Unix epoch.
    """

    speaking_item: str | None = None
    speech_started_at: float | None = None
    unanswered_item: str | None = None
    playing: str | None = None
    muted: bool = False
    volume: float = 1.0
    dtmf_keys: tuple[DtmfKey, ...] = ()
    last_tick_at: float | None = None
    unanswered: tuple[Input, ...] = ()


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
        """The item with this id; None if there is none or the id is None."""
        return None if item_id is None else self.items.get(item_id)

    @property
    def model(self) -> str | None:
        """The model that the service has confirmed; None if it is unknown."""
        confirmed = self.connection.confirmed
        if not isinstance(confirmed, RealtimeSessionConfig):
            return None
        return confirmed.model if isinstance(confirmed.model, str) else None

    def response(self, response_id: str | None) -> Response | None:
        """The response with this id; None if there is none or the id is None."""
        return None if response_id is None else self.responses.by_id.get(response_id)


def with_known(session: Session) -> SessionUsage:
    """The session's usage, with what is certain of it.

    An old snapshot has only the totals. They belong to the session's model then, and
    are certain if they add up.
    """
    usage = session.usage
    tokens = usage.tokens
    if usage.known or usage.incomplete or tokens == Usage():
        return usage
    if tokens.is_consistent:
        return replace(usage, known=usage.known.set(session.model or "", tokens))
    return replace(usage, incomplete=1)


class State(Struct, frozen=True, gc=False):
    """All sessions by id; the application chooses the ids."""

    sessions: Map[str, Session] = Map()
