"""The ids of the items and responses that an event names."""

from __future__ import annotations

from collections.abc import Iterator

from ..events.base import Event
from ..events.items import AnyItem

__all__ = ["call_keys", "ids_of", "item_id_of", "items_of"]


def item_id_of(event: Event) -> str | None:
    """The id of the one item that an event is about; None if there is none."""
    item_id = getattr(event, "item_id", None)
    if item_id is None:
        item_id = getattr(getattr(event, "item", None), "id", None)
    return item_id if isinstance(item_id, str) else None


def ids_of(event: Event) -> set[str]:
    """The ids of the item and the response that an event is about."""
    response_id = getattr(event, "response_id", None)
    inner = getattr(getattr(event, "response", None), "id", None)
    return {it for it in (item_id_of(event), response_id, inner) if it is not None}


def items_of(event: Event) -> Iterator[AnyItem]:
    """The wire items in an event: its own, and the output of its response."""
    if (item := getattr(event, "item", None)) is not None:
        yield item
    yield from getattr(getattr(event, "response", None), "output", None) or ()


def call_keys(item: AnyItem) -> tuple[str | None, str | None]:
    """The keys that link an item to the call or request that it answers."""
    call_id = getattr(item, "call_id", None)
    return call_id, getattr(item, "approval_request_id", None)
