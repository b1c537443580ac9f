"""A pure reducer for OpenAI Realtime sessions.

::

    from duologue.core import Store, select_transcripts

    store = Store()
    store.feed("me", frame, at=time.time())
    select_transcripts(store.session("me"))
"""

from __future__ import annotations

from . import events
from ._version import __version__
from .config import SessionConfig
from .effects import commands
from .effects.backoff import Backoff
from .effects.commands import (
    Command,
    Connect,
    Disconnect,
    FlushAudio,
    Reconnect,
    RunTool,
    Send,
    SwitchTo,
    WakeAt,
)
from .effects.machine import Machine
from .effects.reactions import react
from .errors import DuologueError, LogError, SnapshotError
from .events.types import LocalEventType, RealtimeEventType, SessionKind, SessionStatus
from .log.lines import LogReader, read_log, to_line
from .log.record import Record
from .log.snapshot import dump, load
from .old_paths import redirect
from .reducer.dispatch import fold, reduce
from .selectors import (
    Answer,
    CallLine,
    CallState,
    Cost,
    Reply,
    Transcript,
    TranslatedText,
    TurnTimes,
    select_answers,
    select_call,
    select_cost,
    select_dtmf,
    select_final_transcripts,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_items,
    select_latest,
    select_metadata,
    select_pending_approvals,
    select_pending_calls,
    select_problems,
    select_rate_limits,
    select_reconnections,
    select_replies,
    select_reply,
    select_responses,
    select_running_calls,
    select_transcription_usage,
    select_transcripts,
    select_transcripts_by_role,
    select_translation,
    select_turn,
    select_turns,
    select_usage,
    select_words_missing,
)
from .state.model import (
    Call,
    Item,
    Problem,
    Reconnection,
    Response,
    Session,
    State,
    Usage,
)
from .store import Change, Cursor, Resync, Store
from .views.json_patch import PatchError, apply
from .views.view import summary, view
from .views.view_patch import patch
from .wire.codec import decode, encode

__all__ = [
    "Answer",
    "Backoff",
    "Call",
    "CallLine",
    "CallState",
    "Change",
    "Command",
    "Connect",
    "Cost",
    "Cursor",
    "Disconnect",
    "DuologueError",
    "FlushAudio",
    "Item",
    "LocalEventType",
    "LogError",
    "LogReader",
    "Machine",
    "PatchError",
    "Problem",
    "RealtimeEventType",
    "Reconnect",
    "Reconnection",
    "Record",
    "Reply",
    "Response",
    "Resync",
    "RunTool",
    "Send",
    "Session",
    "SessionConfig",
    "SessionKind",
    "SessionStatus",
    "SnapshotError",
    "State",
    "Store",
    "SwitchTo",
    "Transcript",
    "TranslatedText",
    "TurnTimes",
    "Usage",
    "WakeAt",
    "__version__",
    "apply",
    "commands",
    "decode",
    "dump",
    "encode",
    "events",
    "fold",
    "load",
    "patch",
    "react",
    "read_log",
    "reduce",
    "select_answers",
    "select_call",
    "select_cost",
    "select_dtmf",
    "select_final_transcripts",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
    "select_items",
    "select_latest",
    "select_metadata",
    "select_pending_approvals",
    "select_pending_calls",
    "select_problems",
    "select_rate_limits",
    "select_reconnections",
    "select_replies",
    "select_reply",
    "select_responses",
    "select_running_calls",
    "select_transcription_usage",
    "select_transcripts",
    "select_transcripts_by_role",
    "select_translation",
    "select_turn",
    "select_turns",
    "select_usage",
    "select_words_missing",
    "summary",
    "to_line",
    "view",
]

redirect(
    __name__,
    """
    accounts=state.usage arguments=argument_checks audio=wire.audio_fields
    beta=wire.legacy canonical=wire.json_values commands=effects.commands
    decoding=wire.codec feeding=wire.frames jsonlike=wire.json_values
    jsonpatch=views.json_patch latest=selectors.tail leniency=wire.lenient
    merging=wire.json_values notices=views.notices order=state.id_sequence
    patch=views.view_patch phases=state.transitions pricing=selectors.cost
    react=effects.reactions reconnecting=effects.backoff record=log
    reseeding=effects.reseed retired=wire.legacy session_config=config
    snapshot=log.snapshot stripping=wire.audio_fields tally=state.dedup text=state.rope
    ticking=effects.deadlines transcript=selectors.transcript types=events.types
    upgrades=log.upgrades view=views.view
    """,
)
