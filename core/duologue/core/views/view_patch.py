"""Patches: RFC 6902 operations from one view of a session to a later one.

``apply(view(before), patch(before, after)) == view(after)``. A patch is computed from
the two states without building a view; a node that is the same object is skipped. A
text delta is one ``add`` to a list of chunks, regardless of the length of the text and
of the conversation.

To compare all items or responses of two states is expensive. The records between the
states name the ids that may have changed, so only those are compared. Without records,
or if none of those ids changed, all are compared. The patch is the same in both cases.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from immutables import Map

from ..argument_checks import require_session
from ..log.record import Record
from ..reducer.identity import state_ids_of
from ..state.model import Call, Conversation, Item, Responses, Session, Translation
from ..state.rope import Rope
from ..wire.event_ids import call_keys, ids_of, item_id_of, items_of
from ..wire.json_values import is_array, is_object
from .view import (
    activity_view,
    call_head,
    call_view,
    connection_view,
    find_item,
    item_head,
    item_view,
    part_head,
    part_view,
    response_view,
    shown_ids,
    translation_head,
    translation_view,
    usage_view,
)

__all__ = ["Operation", "patch"]

#: ``op`` (add, remove, replace), ``path`` and, except for remove, ``value``.
Operation = dict[str, Any]
#: The ids of items and responses that may have changed; None means any.
_Ids = set[str] | None


def patch(before: Session, after: Session, *records: Record) -> list[Operation]:
    """The operations from the view of ``before`` to that of ``after``.

    ``records`` are optional: pass all records of this session from ``before`` to
    ``after``. The cost then depends on the size of the change only. Raises TypeError
    unless both arguments are sessions.
    """
    if before.__class__ is not Session or after.__class__ is not Session:
        for value in (before, after):
            require_session(value, "patch")
    if len(records) == 1:
        quick = _delta(before, after, records[0])
        if quick is not None:
            return quick
    affected = _affected_ids(before, after, records)
    operations = _conversation(before, after, affected)
    if before.responses is not after.responses:
        operations += _responses(before.responses, after.responses, affected)
    operations += _value("/id", before.id, after.id)
    if before.connection is not after.connection:
        connections = before.connection, after.connection
        operations += _fields("", *map(connection_view, connections))
    if before.activity is not after.activity:
        activities = before.activity, after.activity
        operations += _value("/activity", *map(activity_view, activities))
    if before.usage is not after.usage or before.problems is not after.problems:
        operations += _fields("", usage_view(before), usage_view(after))
    return operations


def _delta(before: Session, after: Session, record: Record) -> list[Operation] | None:
    """The patch of a text or audio delta; None if the record changed anything else.

    A fast path for the most frequent events, more than ten times faster. The property
    tests compare its result with that of the general path.
    """
    if after.conversation.identity is not None:
        return None
    item_id = item_id_of(record.event)
    old, new = before.item(item_id), after.item(item_id)
    if (
        old is None
        or new is None
        or after.dedup.events - before.dedup.events != 1
        or record.session != after.id
        or before.responses is not after.responses
        or before.conversation is not after.conversation
        or before.activity is not after.activity
        or before.connection is not after.connection
        or before.usage is not after.usage
        or before.problems is not after.problems
        or old.placement is not new.placement
        or old.truncation is not new.truncation
        or old.call is not new.call
        or old.status is not new.status
        or old.role is not new.role
        or old.type is not new.type
        or len(old.parts) != 1
        or len(new.parts) != 1
    ):
        return None
    was, part = old.parts[0], new.parts[0]
    added = part.text.since(was.text)
    if (
        added is None
        or len(added) > 1
        or part.final is not was.final
        or part.type is not was.type
        or part.failure is not was.failure
        or part.segments is not was.segments
    ):
        return None
    if not added:
        return []
    path = f"/items/{_escape(new.id)}/parts/0/chunks/-"
    return [{"op": "add", "path": path, "value": added[0]}]


def _affected_ids(before: Session, after: Session, records: Sequence[Record]) -> _Ids:
    """The ids of the items and responses that these records may have changed.

    None if records between the two states are missing, if a record names neither an
    item nor a response, or if it changes all responses.
    """
    if not records or after.dedup.events - before.dedup.events != len(records):
        return None
    if before.responses.names_conversation is False and (
        after.responses.names_conversation
    ):
        # The earlier responses are out of band.
        return None
    found = {before.responses.active, after.responses.active, before.activity.playing}
    for record in records:
        ids = ids_of(record.event)
        if record.session != after.id or not ids:
            return None
        found |= ids
        for item in items_of(record.event):
            # An output also changes its call; one of the states may not link them.
            keys = call_keys(item)
            found.add(item.id)
            found.update(*(_linked_calls(session, keys) for session in (before, after)))
    found.update(*(state_ids_of(after, key) for key in tuple(found) if key))
    for session in (before, after):
        for key in tuple(found):
            found.update(_linked(session, key))
    return {key for key in found if key is not None}


def _linked(session: Session, key: str | None) -> Iterator[str | None]:
    """The ids that may change together with ``key``, the id of a response or an item.

    A response can change its items, and an item its response. The call or the output
    that belongs to such an item is included.
    """
    response = session.response(key)
    if response is not None:
        for item_id in response.item_ids:
            yield item_id
            yield from _call_items(session, session.items.get(item_id))
    item = session.item(key)
    if item is not None:
        # The playback of an item can change the times of its response.
        yield item.placement.response_id
        yield from _call_items(session, item)


def _call_items(session: Session, item: Item | None) -> Iterator[str | None]:
    """The ids of an item's call and output, or of its approval request and answer."""
    if item is not None and item.call is not None:
        call = item.call
        request = None if call.mcp is None else call.mcp.approval_request_id
        yield request
        yield from _linked_calls(session, (call.key, request))


def _linked_calls(session: Session, keys: Iterable[str | None]) -> Iterator[str | None]:
    """The ids of the items linked by these call ids or approval request ids."""
    for key in keys:
        link = session.conversation.calls.get(key or "")
        if link is not None:
            yield link.call
            yield link.output


def _changed(before: Map[str, Any], after: Map[str, Any], affected: _Ids) -> list[str]:
    """The keys whose values differ, sorted.

    Only the ``affected`` keys are compared. All keys are compared if none of those
    differs, or if other keys were added or removed.
    """
    if before is after:
        return []
    found = [key for key in affected or () if before.get(key) is not after.get(key)]
    growth = sum((key in after) - (key in before) for key in found)
    if not found or growth != len(after) - len(before):
        found = [key for key, value in after.items() if before.get(key) is not value]
        found += [key for key in before if key not in after]
    return sorted(found)


def _conversation(before: Session, after: Session, affected: _Ids) -> list[Operation]:
    """The operations for the conversation: changed items, their order, other fields."""
    operations: list[Operation] = []
    reordered = False
    for item_id in _changed(before.items, after.items, affected):
        old, new = find_item(before, item_id), find_item(after, item_id)
        path = f"/items/{_escape(item_id)}"
        if old is not None and new is not None:
            operations += _item(path, old, new)
        elif new is not None:
            operations.append(_op("add", path, item_view(new)))
        elif old is not None:
            operations.append(_remove(path))
        # A deleted item is not in the view's order, but stays in the state's `order`.
        reordered |= (old is None) is not (new is None) and item_id in before.items
    if reordered or before.conversation is not after.conversation:
        operations += _order(before, after, reordered)
        operations += _conversation_fields(before.conversation, after.conversation)
    return operations


def _conversation_fields(old: Conversation, new: Conversation) -> Iterator[Operation]:
    """The fields of a conversation except its items and their order."""
    yield from _value("/conversation_id", old.id, new.id)
    if old.gaps is not new.gaps:
        yield from _value("/gaps", list(old.gaps), list(new.gaps))
    if old.translation is not new.translation:
        yield from _translation("/translation", old.translation, new.translation)


def _translation(
    path: str, old: Translation | None, new: Translation | None
) -> Iterator[Operation]:
    if old is None or new is None:
        yield _op("replace", path, translation_view(new))
        return
    yield from _text(f"{path}/input/chunks", old.input, new.input)
    yield from _text(f"{path}/output/chunks", old.output, new.output)
    yield from _fields(path, translation_head(old), translation_head(new))


def _order(before: Session, after: Session, reordered: bool) -> list[Operation]:
    old, new = before.conversation, after.conversation
    if not reordered and old.cleared_after == new.cleared_after:
        added = new.order.since(old.order)
        if added is not None and new.cleared_after not in added:
            return [_op("add", "/order/-", it) for it in added if find_item(after, it)]
    return _sequence("/order", shown_ids(before), shown_ids(after))


def _item(path: str, old: Item, new: Item) -> Iterator[Operation]:
    """The operations for an item: its new chunks of text and its changed fields."""
    for index in reversed(range(len(new.parts), len(old.parts))):
        yield _remove(f"{path}/parts/{index}")
    for index, part in enumerate(new.parts):
        if index >= len(old.parts):
            yield _op("add", f"{path}/parts/-", part_view(part))
        elif part is not old.parts[index]:
            here, was = f"{path}/parts/{index}", old.parts[index]
            yield from _text(f"{here}/chunks", was.text, part.text)
            yield from _fields(here, part_head(was), part_head(part))
    if old.call is not new.call:
        yield from _call(f"{path}/call", old.call, new.call)
    yield from _fields(path, item_head(old), item_head(new))


def _call(path: str, old: Call | None, new: Call | None) -> Iterator[Operation]:
    if old is None or new is None:
        yield _op("replace", path, None if new is None else call_view(new))
        return
    yield from _text(f"{path}/arguments", old.arguments, new.arguments)
    yield from _fields(path, call_head(old), call_head(new))


def _text(path: str, old: Rope, new: Rope) -> list[Operation]:
    """The new chunks, or the whole text if it was replaced."""
    added = new.since(old)
    if added is None:
        return [_op("replace", path, new.chunks())]
    steps = [_op("add", f"{path}/-", chunk) for chunk in added]
    return steps if len(steps) < 2 else _shorter(steps, path, new.chunks())


def _responses(old: Responses, new: Responses, affected: _Ids) -> list[Operation]:
    operations: list[Operation] = []
    for response_id in _changed(old.by_id, new.by_id, affected):
        one, other = old.by_id.get(response_id), new.by_id.get(response_id)
        path = f"/responses/{_escape(response_id)}"
        if other is None:
            operations.append(_remove(path))
        elif one is None:
            operations.append(_op("add", path, response_view(other)))
        else:
            operations += _value(path, response_view(one), response_view(other))
    added = new.order.since(old.order)
    if added is None:
        operations += _sequence("/response_order", list(old.order), list(new.order))
    else:
        operations += [_op("add", "/response_order/-", key) for key in added]
    return operations + _value("/active", old.active, new.active)


def _sequence(path: str, old: list[str], new: list[str]) -> list[Operation]:
    """Remove the ids that moved, and add them again; the others stay."""
    staying = _staying(old, new)
    backwards = reversed(range(len(old)))
    steps = [_remove(f"{path}/{at}") for at in backwards if old[at] not in staying]
    last = max((at for at, key in enumerate(new) if key in staying), default=-1)
    for at, key in enumerate(new):
        if key not in staying:
            steps.append(_op("add", f"{path}/{at if at < last else '-'}", key))
    return _shorter(steps, path, new)


def _staying(old: list[str], new: list[str]) -> set[str]:
    """The ids that need not move: the longest common subsequence of both lists."""
    place = {key: at for at, key in enumerate(new)}
    # `ends[n]` is the lowest index in `new` at which a subsequence of n + 1 ids ends.
    ends: list[int] = []
    previous: dict[int, int] = {}
    for at in (place[key] for key in old if key in place):
        length = bisect_left(ends, at)
        previous[at] = ends[length - 1] if length else -1
        ends[length : length + 1] = [at]
    staying: set[str] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        staying.add(new[at])
        at = previous[at]
    return staying


def _value(path: str, old: Any, new: Any) -> list[Operation]:
    """The operations that change one JSON value into another.

    They are steps, or one replacement if that is shorter.
    """
    if _same(old, new):
        return []
    if is_object(old) and is_object(new):
        return _shorter(list(_fields(path, old, new)), path, new)
    if is_array(old) and is_array(new):
        # Lists grow at the end; a list with a maximum length loses its first values.
        ends = (new[: len(old) - at] for at in range(len(old) + 1))
        gone = next(at for at, end in enumerate(ends) if _same(end, old[at:]))
        steps = [_remove(f"{path}/0") for _ in range(gone)]
        steps += [_op("add", f"{path}/-", it) for it in new[len(old) - gone :]]
        return _shorter(steps, path, new)
    return [_op("replace", path, new)]


def _fields(
    path: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Operation]:
    for key in old:
        if key not in new:
            yield _remove(f"{path}/{_escape(key)}")
    for key, value in new.items():
        if key not in old:
            yield _op("add", f"{path}/{_escape(key)}", value)
        else:
            yield from _value(f"{path}/{_escape(key)}", old[key], value)


def _same(old: Any, new: Any) -> bool:
    """Whether two values are the same JSON: 1 differs from 1.0 and from true."""
    return old is new or _bytes(old) == _bytes(new)


def _shorter(steps: list[Operation], path: str, value: Any) -> list[Operation]:
    """The steps, or one replacement of the whole value if that is shorter."""
    whole = [_op("replace", path, value)]
    return steps if len(_bytes(steps)) <= len(_bytes(whole)) else whole


def _bytes(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _escape(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _op(name: str, path: str, value: Any) -> Operation:
    return {"op": name, "path": path, "value": value}


def _remove(path: str) -> Operation:
    return {"op": "remove", "path": path}
