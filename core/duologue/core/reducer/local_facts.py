"""Local facts about how a session is heard and shown, and about its log."""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Problem, Session

from .handler import Handler
from .nodes import with_activity
from .parts import put_item
from .playback import hear
from .usage import add_problem

__all__ = ["MAX_GAPS", "TABLE"]

#: Gaps kept; older ones are in the log.
MAX_GAPS = 100


def _on_played(session: Session, event: events.Played, record: Record) -> Session:
    item = session.items.get(event.item_id)
    if item is None or item.status == "deleted":
        return session
    if item.placement.played_ms != event.ms:
        placement = replace(item.placement, played_ms=event.ms)
        session = put_item(session, replace(item, placement=placement))
    return hear(session, item.placement.response_id, record.at)


def _on_muted(session: Session, event: events.Muted, record: Record) -> Session:
    return with_activity(session, replace(session.activity, muted=event.muted))


def _on_volume(session: Session, event: events.VolumeSet, record: Record) -> Session:
    return with_activity(session, replace(session.activity, volume=event.volume))


def _on_cleared(session: Session, event: events.Cleared, record: Record) -> Session:
    conversation = session.conversation
    last = conversation.order.last
    if conversation.cleared_after == last:
        return session
    return replace(session, conversation=replace(conversation, cleared_after=last))


def _on_tick(session: Session, event: events.Tick, record: Record) -> Session:
    """Time has passed. It never goes back."""
    before = session.activity.last_tick_at
    if record.at is None or (before is not None and record.at <= before):
        return session
    return with_activity(session, replace(session.activity, last_tick_at=record.at))


def _on_gap(session: Session, event: events.Gap, record: Record) -> Session:
    """Records are missing: a problem, and a mark where words may be missing too."""
    conversation = session.conversation
    gaps = (*conversation.gaps[1 - MAX_GAPS :], conversation.order.last or "")
    session = replace(session, conversation=replace(conversation, gaps=gaps))
    message = event.reason or "records are missing"
    return add_problem(session, Problem("gap", message, at=record.at))


TABLE: dict[type, Handler] = {
    events.Played: _on_played,
    events.Muted: _on_muted,
    events.VolumeSet: _on_volume,
    events.Cleared: _on_cleared,
    events.Tick: _on_tick,
    events.Gap: _on_gap,
}
