"""Outputs of function calls that this client sends: of which call, and whether refused.

Some services use a ``call_id`` again, in a later response or in the same one. The state
gives such calls different keys, but their outputs name the same ``call_id``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from duologue.core.state.model import CallLink, Item, Session

from ..handler import put_item
from .sent_events import cause_of

__all__ = [
    "find_call",
    "keys_of",
    "mark_call",
    "mark_output",
    "put_link",
    "refuse_output",
    "refused_call",
    "unconfirmed_call",
]

#: The number of last items of which an error without an ``event_id`` may refuse one.
_RECENT = 32


def find_call(session: Session, key: str | None) -> Item | None:
    """The item of the call with this key, not of its output."""
    link = session.conversation.calls.get(key or "")
    return None if link is None else session.item(link.call)


def put_link(session: Session, key: str, link: CallLink) -> Session:
    """The session with this link."""
    conversation = session.conversation
    if link == conversation.calls.get(key):
        return session
    calls = conversation.calls.set(key, link)
    return replace(session, conversation=replace(conversation, calls=calls))


def keys_of(session: Session, call_id: str | None) -> tuple[str, ...]:
    """The keys of the calls that a ``call_id``, or a key, can mean."""
    link = session.conversation.calls.get(call_id or "")
    return () if link is None or call_id is None else (call_id, *link.others)


def mark_call(session: Session, call_id: str | None) -> Session:
    """The session with the fact that this client creates a call, from a history."""
    if not call_id:
        return session
    link = session.conversation.calls.get(call_id) or CallLink()
    return put_link(session, call_id, replace(link, call_sent=True))


def mark_output(
    session: Session, call_id: str | None, event_id: str | None
) -> tuple[Session, str | None]:
    """The session with an output sent, and the key of its call; None if unknown."""
    keys, links = keys_of(session, call_id), session.conversation.calls
    again = [key for key in keys if event_id and links[key].output_event == event_id]
    unsent = [key for key in keys if not links[key].output_sent]
    key = _next(session, again or unsent or keys)
    if key is None:
        return session, None
    link = replace(
        links[key], output_sent=True, output_event=event_id, output_refused=False
    )
    return put_link(session, key, link), key


def unconfirmed_call(session: Session, call_id: str | None) -> str | None:
    """The key of the call to which an output belongs that arrives now."""
    keys, links = keys_of(session, call_id), session.conversation.calls
    without = [key for key in keys if session.item(links[key].output) is None]
    sent = [key for key in without if links[key].output_sent]
    return _next(session, sent or without or keys[:1])


def _next(session: Session, keys: Sequence[str]) -> str | None:
    """The first of these calls whose tool has ended, or else of the last response."""
    found = {key: item for key in keys if (item := find_call(session, key))}
    if len(keys) < 2 or not found:
        return keys[0] if keys else None
    last = max(found.values(), key=_began).placement.response_id

    def rank(key: str) -> tuple[bool, bool, float]:
        item = found[key]
        if item.call is not None and item.call.answered:
            return False, False, item.placement.tool_at or 0.0
        return True, item.placement.response_id != last, _began(item)

    return min(found, key=rank)


def _began(item: Item) -> float:
    return item.placement.started_at or 0.0


def refused_call(session: Session, event_id: str | None) -> str | None:
    """The key of the call whose output an error refuses; None for another error.

    Without the id of an event, the first output that the service has not confirmed.
    """
    links = session.conversation.calls
    if event_id is not None:
        cause = cause_of(session, event_id)
        keys = keys_of(session, None if cause is None else cause.call_id)
        sent = [key for key in keys if links[key].output_event == event_id]
    else:
        recent = tuple(islice(reversed(session.conversation.order), _RECENT))
        items = [item for item in map(session.item, recent[::-1]) if item and item.call]
        named = {item.call.key: item for item in items if item.call and item.call.key}
        sent = [
            key
            for key in sorted(named, key=lambda key: named[key].placement.tool_at or 0)
            if key in links and links[key].output_sent
        ]
    waiting = (key for key in sent if session.item(links[key].output) is None)
    return next((key for key in waiting if not links[key].output_refused), None)


def refuse_output(session: Session, key: str, reason: str) -> Session:
    """The session after the service has refused the output of a call."""
    link = replace(session.conversation.calls[key], output_refused=True)
    session = put_link(session, key, link)
    item = find_call(session, key)
    if item is None or item.call is None:
        return session
    return put_item(session, replace(item, call=replace(item.call, error=reason)))
