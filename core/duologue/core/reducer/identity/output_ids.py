"""The ids of responses and of their output.

Some services give their responses, or the items in ``response.done``, no id.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Item, Response, Session

from .names import (
    find_response,
    items_named,
    name_item,
    next_item,
    next_response,
    put_ambiguity,
    put_identity,
    responses_named,
)
from .uses import Use, can_be, find_item, is_copy, text_of, use_of

__all__ = [
    "Resolver",
    "is_anonymous",
    "is_named",
    "on_buffer",
    "on_created",
    "on_done",
    "on_final_text",
    "on_output",
    "on_output_item",
]

#: (session, event, record) → the session that knows new ids, and the event with ids in
#: the state.
Resolver = Callable[[Session, Any, Record], tuple[Session, Any]]

#: The beginning of the id of a response that has none at the service.
_ANONYMOUS = "anonymous_"


def is_anonymous(response_id: str) -> bool:
    """Whether a response has no id at the service."""
    return response_id.startswith(_ANONYMOUS)


def on_created(
    session: Session, event: events.ResponseCreated, record: Record
) -> tuple[Session, events.ResponseCreated]:
    """A second event with the id of a response that has ended begins another one."""
    wire, epoch = event.response, record.epoch
    if not wire.id:
        wire = _with_id_of_created(session, wire)
        return session, event if wire.id is None else replace(event, response=wire)
    session, response_id = find_response(session, wire.id, epoch)
    known, responses = session.response(response_id), session.responses
    if (
        known is not None
        and known.announced
        and known.status != "in_progress"
        and wire.status in (None, "in_progress")
        and (
            responses.in_flight
            or session.activity.unanswered_item
            # Not a copy, and not late either.
            or (event.event_id and known.turn.created_at is not None)
        )
    ):
        session, response_id = next_response(session, wire.id, epoch)
    if response_id == wire.id:
        return session, event
    return session, replace(event, response=replace(wire, id=response_id))


def _with_id_of_created(
    session: Session, wire: events.RealtimeResponse
) -> events.RealtimeResponse:
    """A response that begins, with an id if it has none.

    A second ``response.created`` without an id begins another response, unless nothing
    has been requested or sent since the first.
    """
    responses = session.responses
    if responses.in_flight is not None:
        return _with_id(session, wire)
    if wire.conversation_id is None:
        return wire
    active = session.response(responses.active)
    if active is not None and is_anonymous(active.id) and not active.item_ids:
        return _with_id(session, wire, active.id)
    return _with_id(session, wire)


def _with_id_of_done(
    session: Session, wire: events.RealtimeResponse, epoch: int
) -> events.RealtimeResponse:
    """A response without an id that ends, with one.

    It is the active response, unless its output belongs to another one.
    """
    responses = session.responses
    active = session.response(responses.active)
    output = {
        name
        for item in wire.output or ()
        if item.id
        for name in (item.id, *items_named(session, item.id, epoch))
    }
    if active is not None and (
        not output or not active.item_ids or output & set(active.item_ids)
    ):
        return _with_id(session, wire, active.id)
    for item in map(session.item, (item.id for item in wire.output or ())):
        if item is not None and session.response(item.placement.response_id):
            return _with_id(session, wire, item.placement.response_id)
    if active is not None:
        return _with_id(session, wire, active.id)
    if responses.in_flight or output or session.activity.unanswered_item:
        return _with_id(session, wire)
    return wire


def _with_id(
    session: Session, wire: events.RealtimeResponse, response_id: str | None = None
) -> events.RealtimeResponse:
    number = len(session.responses.order)
    while response_id is None:
        number += 1
        name = f"{_ANONYMOUS}{number}"
        response_id = None if name in session.responses.by_id else name
    conversation = wire.conversation_id or UNSET
    return replace(wire, id=response_id, conversation_id=conversation)


def on_buffer(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """An event of the audio buffer names the response that is played."""
    if not event.response_id:
        return session, event
    session, name = find_response(session, event.response_id, record.epoch)
    if name == event.response_id:
        return session, event
    return session, replace(event, response_id=name)


def on_output(type: str, role: str | None = None) -> Resolver:
    """The resolver of events about a part, or the arguments, of an output."""

    def resolve(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
        item_id, epoch = event.item_id, record.epoch
        response_id = event.response_id or None
        call_id = _call_id_of(event)
        item = session.items.get(item_id)
        if (
            item is not None
            and session.conversation.identity is None
            and item.placement.response_id == response_id
            and item.placement.epoch == epoch
            and _is_of_type(item, type, call_id)
        ):
            return session, event
        if response_id is not None:
            session, response_id = find_response(session, response_id, epoch)
        named = response_id or session.responses.active
        use = Use(epoch, type, role, named, call_id)
        session, name = find_item(session, item_id, use)
        if (name, response_id) == (item_id, event.response_id or None):
            return session, event
        return session, replace(event, item_id=name, response_id=response_id or "")

    return resolve


_on_text = on_output("message", "assistant")


def on_final_text(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """Another final text of a part, of a later output, begins another message."""
    wire_id = event.item_id
    session, event = _on_text(session, event, record)
    item, text = session.items.get(event.item_id), _final_text(event)
    if item is None or not text or not _is_behind(session, item, event):
        return session, event
    for part in item.parts[event.content_index or 0 :][:1]:
        if part.final and str(part.text) not in ("", text):
            session, name = next_item(session, wire_id, record.epoch)
            session = put_ambiguity(session, wire_id, name, record)
            return session, replace(event, item_id=name)
    return session, event


def _final_text(event: Any) -> str:
    match event:
        case events.ResponseOutputTextDone(text=text):
            return text
        case events.ResponseOutputAudioTranscriptDone(transcript=text):
            return text
        case _:
            raise AssertionError  # pragma: no cover


def _is_of_type(item: Item, type: str, call_id: str | None) -> bool:
    call = item.call
    if type == "message":
        return call is None
    return item.role is None and (
        call is None or call_id is None or call.call_id in (None, call_id)
    )


def _call_id_of(event: Any) -> str | None:
    match event:
        case (
            events.ResponseFunctionCallArgumentsDelta()
            | events.ResponseFunctionCallArgumentsDone()
        ):
            return event.call_id or None
        case _:
            return None


def on_output_item(
    session: Session,
    event: events.ResponseOutputItemAdded | events.ResponseOutputItemDone,
    record: Record,
) -> tuple[Session, Any]:
    """An output item begins or ends."""
    wire, epoch = event.item, record.epoch
    response_id = event.response_id or None
    known = session.items.get(wire.id) if wire.id else None
    if (
        known is not None
        and session.conversation.identity is None
        and known.placement.response_id == response_id
        and known.placement.epoch == epoch
        and is_named(wire, known)
        and not _is_later(session, known, event)
    ):
        return session, event
    if response_id is not None:
        session, response_id = find_response(session, response_id, epoch)
    use = use_of(wire, epoch, response_id or session.responses.active)
    if wire.id:
        session, name = find_item(session, wire.id, use)
        named = session.items.get(name)
        if named is not None and _is_later(session, named, event):
            if use.type == "message" and named.status != "in_progress":
                session, name = next_item(session, wire.id, epoch)
            session = put_ambiguity(session, wire.id, name, record)
    else:
        is_done = isinstance(event, events.ResponseOutputItemDone)
        found = _unnamed_output(session, use, is_done)
        if found is None:
            return session, event
        session, name = put_identity(session), found
    if (name, response_id) == (wire.id, event.response_id or None):
        return session, event
    item = replace(wire, id=name)
    return session, replace(event, item=item, response_id=response_id or "")


def _is_later(session: Session, item: Item, event: Any) -> bool:
    """Whether an output begins behind the known ones, of which one has its id."""
    is_added = isinstance(event, events.ResponseOutputItemAdded)
    return is_added and _is_behind(session, item, event)


def _is_behind(session: Session, item: Item, event: Any) -> bool:
    """Whether an event's output is behind the known ones, of which one has its id."""
    response = session.response(item.placement.response_id)
    return (
        response is not None
        and item.id in response.item_ids
        and (event.output_index or 0) >= len(response.item_ids)
    )


def _unnamed_output(session: Session, use: Use, is_done: bool) -> str | None:
    """The output that an item without an id is; None if its response is unknown.

    It ends the last output of its kind that is open, or is a copy of a finished one.
    """
    if use.response_id is None or not (use.text or use.type not in ("", "message")):
        return None
    response = session.response(use.response_id) or Response(use.response_id)
    outputs = [session.items[each] for each in response.item_ids]
    for item in reversed(outputs if is_done else ()):
        if can_be(session, item, use) and (
            item.status == "in_progress" or is_copy(item, use)
        ):
            return item.id
    return _unnamed_id(session, use.response_id, len(outputs) + 1)


def _unnamed_id(
    session: Session, response_id: str, number: int, taken: Container[str] = ()
) -> str:
    """The id in the state of an output that has none at the service."""
    while (name := f"{response_id}~item_{number}") in session.items or name in taken:
        number += 1
    return name


def on_done(
    session: Session, event: events.ResponseDone, record: Record
) -> tuple[Session, events.ResponseDone]:
    """A response ends; the event lists its output."""
    wire, epoch = event.response, record.epoch
    if wire.id:
        session, name = _ended_response(session, wire, epoch)
        if name != wire.id:
            wire = replace(wire, id=name)
    else:
        wire = _with_id_of_done(session, wire, epoch)
    if wire.id and wire.output:
        session, wire = _with_outputs(session, wire, record)
    return session, event if wire is event.response else replace(event, response=wire)


def _ended_response(
    session: Session, wire: events.RealtimeResponse, epoch: int
) -> tuple[Session, str]:
    """The response that ends: one in progress, if one has this id."""
    wire_id = wire.id or ""
    known = session.responses.by_id.get(wire_id)
    if known is not None and (known.epoch, known.status) == (epoch, "in_progress"):
        return session, wire_id
    session, name = find_response(session, wire_id, epoch)
    for each in responses_named(session, wire_id, epoch):
        known = session.response(each)
        if known is not None and known.status == "in_progress":
            return session, each
    known = session.response(name)
    if session.responses.in_flight is None or known is None:
        return session, name
    if known.status != "completed" or not wire.output:
        return session, name
    outputs = [session.items[each] for each in known.item_ids]
    uses = [use_of(each, epoch, name) for each in wire.output]
    if all(any(is_copy(item, use) for item in outputs) for use in uses):
        return session, name
    return next_response(session, wire_id, epoch)


def _with_outputs(
    session: Session, wire: events.RealtimeResponse, record: Record
) -> tuple[Session, events.RealtimeResponse]:
    """The ended response with the ids of its outputs.

    An item with an unknown id, or without one, is the first output of its kind that is
    not listed under its own id and that has the same text, or less.
    """
    response_id, output, epoch = wire.id or "", wire.output or (), record.epoch
    response = session.response(response_id)
    known = () if response is None else response.item_ids
    if (
        session.conversation.identity is None
        and len(output) == len(known)
        and all(map(is_named, output, map(session.items.get, known)))
    ):
        return session, wire
    uses = [use_of(item, epoch, response_id) for item in output]
    names: list[str | None] = [None] * len(output)
    for number, (item, use) in enumerate(zip(output, uses, strict=True)):
        if item.id:
            names[number] = _listed(session, item.id, use, names)
    for number, (item, use) in enumerate(zip(output, uses, strict=True)):
        if names[number] is not None:
            continue
        listed = [each for each in names if each is not None]
        name = _listed_before(output[:number], item, use, names)
        if name is not None:
            session = put_ambiguity(session, item.id or name, name, record)
        else:
            left = (session.items[each] for each in known if each not in listed)
            grown = (each.id for each in left if _can_grow_to(session, each, item, use))
            name = next(grown, None)
        if name is not None:
            if item.id and name != item.id:
                session = name_item(session, item.id, name, epoch)
        elif item.id:
            session, name = next_item(session, item.id, epoch, listed)
        else:
            name = _unnamed_id(session, response_id, number + 1, listed)
        names[number] = name
    if names == [item.id for item in output]:
        return session, wire
    named = map(_renamed, output, map(session.item, names), names)
    return session, replace(wire, output=tuple(named))


def _renamed(wire: Any, item: Item | None, name: str | None) -> Any:
    """A listed output with an id in the state, and with the known id of its call."""
    wire = replace(wire, id=name)
    is_call = isinstance(wire, events.FunctionCallItem)
    if is_call and item is not None and item.call is not None and item.call.call_id:
        wire = replace(wire, call_id=item.call.call_id)
    return wire


def _listed(
    session: Session, wire_id: str, use: Use, taken: Container[str | None]
) -> str | None:
    """The item that an output names: the last one, or one with all of its text."""
    found = [
        name
        for name in items_named(session, wire_id, use.epoch)
        if name not in taken and can_be(session, session.items.get(name), use)
    ]
    items = filter(None, map(session.items.get, found))
    equal = (item.id for item in items if text_of(item) == use.text)
    return next(equal, found[0] if found else None)


def is_named(wire: Any, item: Item | None) -> bool:
    """Whether a wire item is an item with the same id and of the same kind."""
    if item is None or wire.id != item.id or isinstance(wire, events.UnknownItem):
        return False
    if wire.type != item.type:
        return False
    if not isinstance(wire, events.FunctionCallItem):
        return True
    return item.call is not None and item.call.call_id == wire.call_id


def _listed_before(
    before: tuple[Any, ...], wire: Any, use: Use, names: list[str | None]
) -> str | None:
    """The item that an output is if it is listed twice under one id.

    One of the two may have less text.
    """
    for item, name in zip(before, names, strict=False):
        other = use_of(item, use.epoch, use.response_id)
        texts = (other.text or "", use.text or "")
        if (
            item.id
            and item.id == wire.id
            and (other.type, other.call_id) == (use.type, use.call_id)
            and (not all(texts) or texts[0] == texts[1])
        ):
            return name
    return None


def _can_grow_to(session: Session, item: Item, wire: Any, use: Use) -> bool:
    """Whether a listed output can be an item with less text, or the same."""
    if not use.type or item.status == "deleted":
        return False
    if isinstance(wire, events.FunctionCallItem):
        if item.call is None or item.call.name != wire.name:
            return False
        if wire.id:
            # The service has made new ids for a call that it does not list otherwise.
            is_other = use.call_id not in (None, item.call.call_id)
            is_equal = item.call.final and text_of(item) == wire.arguments
            return is_other and is_equal
    return can_be(session, item, use) and (use.text or "").startswith(text_of(item))
