"""Notices: descriptions of changes, for the callbacks of an application.

`notices` is pure; the emitter of a live session calls the callbacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import attrgetter, is_
from typing import Any

import attrs

from .. import events
from ..effects.barge_in import cleared_response
from ..effects.calls import calls_to_run
from ..events.types import SessionStatus
from ..log.epochs import epoch_of
from ..log.record import Record
from ..reducer.identity import with_state_ids
from ..selectors.transcript import is_final, transcript_of
from ..state.model import Item, Part, Problem, Response, Session
from ..wire.event_ids import item_id_of

__all__ = ["NAMES", "Notice", "notices"]

#: Every name of a notice, with the arguments of its callback.
NAMES = {
    "connected": "()",
    "disconnected": "(reason: str | None)",
    "reconnected": "(reconnection: Reconnection): after a loss, or by a hand-over",
    "status": "(status: SessionStatus)",
    "error": "(problem: Problem)",
    "speech_started": "(item_id: str)",
    "speech_stopped": "(item_id: str)",
    "speaking_changed": "(speaking: bool): the assistant begins or stops speaking",
    "playback_cleared": "(response_id: str): discard received audio",
    "transcript_delta": "(transcript: Transcript, delta: str)",
    "transcript": "(transcript: Transcript): final",
    "tool_call": "(call: Call): a complete function call to run, once",
    "response_done": "(response: Response)",
}


@attrs.frozen
class Notice:
    """A name of `NAMES`, and the arguments of the callback."""

    name: str
    args: tuple[Any, ...] = ()


def notices(
    before: Session | None, record: Record, after: Session
) -> tuple[Notice, ...]:
    """The notices of one record, in the order in which to deliver them."""
    before = before or Session(after.id)
    if _same(before, after):
        return ()
    record = with_state_ids(before, record, after)
    return (
        *_about_connection(before, record, after),
        *_about_speech(before, record, after),
        *_about_items(before, record, after),
        *(Notice("tool_call", (call,)) for call in calls_to_run(before, record, after)),
        *_about_responses(before, record, after),
        *(Notice("error", (problem,)) for problem in _new_problems(before, after)),
    )


_nodes = attrgetter(
    *(name for name in Session.__struct_fields__ if name not in ("id", "dedup"))
)


def _same(before: Session, after: Session) -> bool:
    """Whether only `dedup` changed."""
    return all(map(is_, _nodes(before), _nodes(after)))


def _new_problems(before: Session, after: Session) -> tuple[Problem, ...]:
    """The problems that the record added."""
    old, new = before.problems, after.problems
    if old is new or not new:
        return ()
    last = old[-1] if old else None
    count = 0
    for problem in reversed(new):
        if problem is last:
            break
        count += 1
    return new[len(new) - count :]


def _about_connection(
    before: Session, record: Record, after: Session
) -> Iterator[Notice]:
    made = after.connection.reconnections
    if made is not before.connection.reconnections and made:
        yield Notice("reconnected", (made[-1],))
    old, new = before.connection.status, after.connection.status
    if old is not new:
        if new is SessionStatus.OPEN:
            yield Notice("connected")
        if isinstance(record.event, events.Disconnected):
            yield Notice("disconnected", (record.event.reason,))
        yield Notice("status", (new,))


def _about_speech(before: Session, record: Record, after: Session) -> Iterator[Notice]:
    old, new = before.activity, after.activity
    if old.speaking_item != new.speaking_item:
        if old.speaking_item is not None:
            yield Notice("speech_stopped", (old.speaking_item,))
        if new.speaking_item is not None:
            yield Notice("speech_started", (new.speaking_item,))
    if (old.playing is None) is not (new.playing is None):
        yield Notice("speaking_changed", (new.playing is not None,))
    if (cleared := cleared_response(before, record, after)) is not None:
        yield Notice("playback_cleared", (cleared,))


def _about_items(before: Session, record: Record, after: Session) -> Iterator[Notice]:
    if before.items is after.items:
        return
    for item_id in _touched(before, record, after):
        old, new = before.items.get(item_id), after.items.get(item_id)
        if new is None or new is old:
            continue
        if new.role in ("user", "assistant"):
            yield from _about_text(old, new, record)


def _about_text(old: Item | None, new: Item, record: Record) -> Iterator[Notice]:
    delta = getattr(record.event, "delta", None)
    final = is_final(new)
    if isinstance(delta, str) and not final and _grew(old, new):
        yield Notice("transcript_delta", (transcript_of(new), delta))
    if final and (old is None or not is_final(old)):
        yield Notice("transcript", (transcript_of(new),))


def _grew(old: Item | None, new: Item) -> bool:
    """Whether a delta added text; an audio delta does not."""
    parts: tuple[Part, ...] = old.parts if old is not None else ()
    known = {id(part.text) for part in parts}
    return any(part.text and id(part.text) not in known for part in new.parts)


def _touched(before: Session, record: Record, after: Session) -> Iterable[str]:
    """The items that an event is about, or that it may have finished."""
    event = record.event
    if (item_id := item_id_of(event)) is not None:
        return (item_id,)
    if isinstance(event, events.InputAudioBufferCleared):
        speaking = before.activity.speaking_item
        return () if speaking is None else (speaking,)
    if isinstance(event, events.ResponseDone) or (
        _ended_epoch(before, record, after) is not None
    ):
        replies = _ended(before, record, after)
        output = (item_id for reply in replies for item_id in reply.item_ids)
        return dict.fromkeys((*_left(before, record, after), *output))
    return ()


#: The events that end a connection.
_End = events.Disconnected | events.Closed | events.SessionClosed


def _ended_epoch(before: Session, record: Record, after: Session) -> int | None:
    """The epoch of the connection that a record ends; None if it ends none."""
    epoch = after.connection.epoch
    if isinstance(record.event, _End):
        return min(epoch_of(after.connection, record), epoch)
    # A new connection that the log does not number is all that shows the end.
    is_counted = epoch > before.connection.epoch and record.epoch < epoch
    return before.connection.epoch if is_counted else None


def _left(before: Session, record: Record, after: Session) -> list[str]:
    """The items that the end of a connection changed, in order.

    Items of earlier connections have ended already, so the search stops there.
    """
    found: list[str] = []
    epoch = _ended_epoch(before, record, after)
    if epoch is None:
        return found
    for item_id in reversed(after.conversation.order):
        item = after.items[item_id]
        if item.placement.epoch < epoch:
            break
        if item is not before.items.get(item_id):
            found.append(item_id)
    found.reverse()
    return found


def _about_responses(
    before: Session, record: Record, after: Session
) -> Iterator[Notice]:
    for response in _ended(before, record, after):
        yield Notice("response_done", (response,))


def _ended(before: Session, record: Record, after: Session) -> list[Response]:
    """The responses that a record ended, in the order in which they began."""
    if before.responses is after.responses:
        return []
    known = before.responses.by_id
    found: list[Response] = []
    for response_id in _perhaps_ended(before, record, after):
        response, old = after.response(response_id), known.get(response_id)
        if response is not None and (old is None or old.status != response.status):
            found.append(response)
    return found


def _perhaps_ended(before: Session, record: Record, after: Session) -> Iterable[str]:
    """The finished response, or the responses of a lost connection."""
    event = record.event
    if isinstance(event, events.ResponseDone):
        return (event.response.id or "",)
    epoch, by_id = _ended_epoch(before, record, after), after.responses.by_id
    if epoch is None:
        return ()
    order = reversed(after.responses.order)
    found = list(takewhile(lambda each: by_id[each].epoch >= epoch, order))
    # The active response can belong to an earlier connection, if no record shows the
    # end of that connection.
    active = before.responses.active
    if active is not None and active not in found:
        found.append(active)
    return reversed(found)
