"""A pure reducer for OpenAI Realtime sessions.

::

    from duologue.core import Store, select_transcripts

    store = Store()
    store.feed("me", frame, at=time.time())
    select_transcripts(store.session("me"))
"""

from __future__ import annotations

from . import commands, events
from ._version import __version__
from .commands import Command, Reconnect, Send
from .decoding import decode, encode
from .errors import DuologueError, LogError, SnapshotError
from .jsonpatch import PatchError, apply
from .latest import CallLine, CallState, select_latest
from .patch import patch
from .pricing import Cost, select_cost
from .react import react
from .reconnecting import Backoff
from .record import Record, read_log, to_line
from .reducer import fold, reduce
from .selectors import (
    Transcript,
    TranslatedText,
    TurnTimes,
    select_dtmf,
    select_final_transcripts,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_items,
    select_metadata,
    select_pending_approvals,
    select_pending_calls,
    select_problems,
    select_rate_limits,
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
from .session_config import SessionConfig
from .snapshot import dump, load
from .state import Call, Item, Problem, Response, Session, State, Usage
from .store import Change, Cursor, Resync, Store
from .types import LocalEventType, RealtimeEventType, SessionKind, SessionStatus
from .view import summary, view

__all__ = [
    "Backoff",
    "Call",
    "CallLine",
    "CallState",
    "Change",
    "Command",
    "Cost",
    "Cursor",
    "DuologueError",
    "Item",
    "LocalEventType",
    "LogError",
    "PatchError",
    "Problem",
    "RealtimeEventType",
    "Reconnect",
    "Record",
    "Response",
    "Resync",
    "Send",
    "Session",
    "SessionConfig",
    "SessionKind",
    "SessionStatus",
    "SnapshotError",
    "State",
    "Store",
    "Transcript",
    "TranslatedText",
    "TurnTimes",
    "Usage",
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
