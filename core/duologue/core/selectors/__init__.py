"""Selectors: pure functions that read one session.

Each takes a `Session` and is named ``select_…``. A selector that builds its result is
memoised for the last 64 sessions: it returns the same object while the nodes that it
reads are the same objects. One that only returns a node is not.
"""

from __future__ import annotations

from .calls import select_pending_approvals, select_pending_calls, select_running_calls
from .cost import Cost, select_cost
from .items import select_items, select_words_missing
from .session import (
    select_dtmf,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
)
from .tail import CallLine, CallState, select_latest
from .transcript import (
    Transcript,
    TranslatedText,
    select_final_transcripts,
    select_transcripts,
    select_transcripts_by_role,
    select_translation,
)
from .turns import (
    TurnTimes,
    select_metadata,
    select_responses,
    select_turn,
    select_turns,
)
from .usage import (
    select_problems,
    select_rate_limits,
    select_transcription_usage,
    select_usage,
)

__all__ = [
    "CallLine",
    "CallState",
    "Cost",
    "Transcript",
    "TranslatedText",
    "TurnTimes",
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
]
