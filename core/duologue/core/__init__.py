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
from .commands import Command
from .decoding import decode, encode
from .errors import DuologueError, LogError, SnapshotError
from .react import react
from .record import Record, read_log, to_line
from .reducer import fold, reduce
from .selectors import (
    Transcript,
    TurnTimes,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_metadata,
    select_problems,
    select_transcripts,
    select_turns,
    select_usage,
)
from .session_config import SessionConfig
from .snapshot import dump, load
from .state import Item, Problem, Response, Session, State, Usage
from .store import Store
from .types import LocalEventType, RealtimeEventType, SessionKind, SessionStatus

__all__ = [
    "Command",
    "DuologueError",
    "Item",
    "LocalEventType",
    "LogError",
    "Problem",
    "RealtimeEventType",
    "Record",
    "Response",
    "Session",
    "SessionConfig",
    "SessionKind",
    "SessionStatus",
    "SnapshotError",
    "State",
    "Store",
    "Transcript",
    "TurnTimes",
    "Usage",
    "__version__",
    "commands",
    "decode",
    "dump",
    "encode",
    "events",
    "fold",
    "load",
    "react",
    "read_log",
    "reduce",
    "select_is_connected",
    "select_is_muted",
    "select_is_settled",
    "select_is_speaking",
    "select_metadata",
    "select_problems",
    "select_transcripts",
    "select_turns",
    "select_usage",
    "to_line",
]
