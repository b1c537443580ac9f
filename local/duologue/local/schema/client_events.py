"""The shapes of client events, after the API page "Client events"."""

from __future__ import annotations

from .checks import Shape, anything, either, integer, name, record, text
from .conversation_items import ITEM
from .session_config import RESPONSE

__all__ = ["EVENTS", "EVENT_ID", "TRANSLATION_EVENTS"]

#: The types of events that only translation sessions have.
TRANSLATION_EVENTS = ("session.close", "session.input_audio_buffer.append")

#: The id that a client may give an event.
EVENT_ID = name(512)
_COUNT = integer(0, 2**31 - 1)


def _event(*required: str, **fields: Shape) -> Shape:
    common: dict[str, Shape] = {"type": text, "event_id": EVENT_ID}
    return record(common | fields, required=required)


#: The client events by type. The content of ``session`` depends on the kind of session,
#: so the engine checks it later.
EVENTS: dict[str, Shape] = {
    "session.update": _event("session", session=either((dict, anything))),
    "input_audio_buffer.append": _event("audio", audio=text),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "output_audio_buffer.clear": _event(),
    "conversation.item.create": _event("item", item=ITEM, previous_item_id=text),
    "conversation.item.truncate": _event(
        "item_id",
        "content_index",
        "audio_end_ms",
        item_id=text,
        content_index=_COUNT,
        audio_end_ms=_COUNT,
    ),
    "conversation.item.delete": _event("item_id", item_id=text),
    "conversation.item.retrieve": _event("item_id", item_id=text),
    "response.create": _event(response=RESPONSE),
    "response.cancel": _event(response_id=text),
}
