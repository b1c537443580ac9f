"""Records that the tests of requests share."""

from __future__ import annotations

from typing import Any

from duologue.core import Record, Session, fold

from ...talk import Frame, to_record

__all__ = [
    "AGAIN_OPEN",
    "CREATE",
    "INTERRUPTED",
    "LOST",
    "OPEN",
    "created",
    "failed",
    "out",
    "session_after",
    "wished",
]

CREATE: Frame = {"type": "response.create", "event_id": "c1"}


def out(frame: Frame, **how: Any) -> Record:
    return to_record(frame, dir="out", **how)


def wished(event: Frame) -> Record:
    return to_record({"type": "duologue.requested", "event": event})


def failed(**error: Any) -> Record:
    return to_record({"type": "error", "error": error})


def created(**response: Any) -> Record:
    response = {"id": "r", "conversation_id": "c", **response}
    return to_record({"type": "response.created", "response": response})


def session_after(*records: Record) -> Session:
    return fold(records).sessions["s"]


OPEN = to_record({"type": "session.created", "session": {"type": "realtime"}})
INTERRUPTED = to_record({"type": "duologue.interrupted"})
LOST = to_record({"type": "duologue.disconnected"})
AGAIN_OPEN = [
    to_record({"type": "duologue.disconnected", "retrying": True}),
    to_record({"type": "duologue.connecting"}, epoch=1),
    to_record({"type": "duologue.connected"}, epoch=1),
]
