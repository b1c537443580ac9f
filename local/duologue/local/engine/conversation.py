"""The default conversation: its items in order."""

from __future__ import annotations

import msgspec

from duologue.core.events import (
    AnyItem,
    AnyPart,
    AudioPart,
    ConversationItemAdded,
    ConversationItemDone,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudioPart,
    InputTextPart,
    MessageItem,
    OutputAudioPart,
    OutputTextPart,
    TextPart,
)

from ..interfaces import Called, Entry, Line, Returned
from ..schema.refusal import Refusal
from .outbox import Outbox

__all__ = ["Conversation", "entries_of", "words_of"]

#: Limits of a conversation: the items, and the bytes of the client's items.
_MOST_ITEMS = 10_000
_MOST_BYTES = 64 * 1024 * 1024


class Conversation:
    """Keeps the items and emits their events."""

    def __init__(self, outbox: Outbox) -> None:
        self.id = outbox.new_id("conv")
        self._outbox = outbox
        self._order: list[str] = []
        self._items: dict[str, AnyItem] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0

    @property
    def last_id(self) -> str | None:
        """The id of the last item, if any."""
        return self._order[-1] if self._order else None

    @property
    def items(self) -> tuple[AnyItem, ...]:
        """All items in order."""
        return tuple(self._items[item_id] for item_id in self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> AnyItem:
        """The item that a response refers to. Raises `Refusal`."""
        if (item := self._items.get(item_id)) is None:
            raise Refusal(
                "item_not_found", f"Item with item_id '{item_id}' does not exist."
            )
        return item

    def find(self, item_id: str, doing: str) -> AnyItem:
        """The item that a client wants to retrieve, delete or truncate (``doing``).

        Raises `Refusal`; clients compare with its code.
        """
        if (item := self._items.get(item_id)) is None:
            raise Refusal(
                f"item_{doing}_invalid_item_id",
                f"Error {doing[:-1]}ing item: the item with id '{item_id}' does not "
                "exist.",
            )
        return item

    def check_call(self, call_id: str | None) -> None:
        """Check that the conversation has this function call. Raises `Refusal`."""
        calls = (
            item.call_id
            for item in self._items.values()
            if isinstance(item, FunctionCallItem)
        )
        if call_id not in calls:
            raise Refusal(
                "invalid_tool_call_id",
                f"Tool call ID '{call_id}' not found in conversation.",
            )

    def put(self, item: AnyItem) -> None:
        """Append an item of the service and emit ``added``.

        If the conversation is full, the oldest items are removed; the real service also
        removes them from its context.
        """
        while len(self._order) >= _MOST_ITEMS:
            self.remove(self._order[0])
        self._insert(item, len(self._order))

    def add(self, item: AnyItem, previous: str | None = None) -> None:
        """Insert a client's item after ``previous`` and emit ``added``.

        ``previous`` is an item's id, None for the end, or ``root`` for the front.
        Raises `Refusal`; the conversation is then unchanged.
        """
        item_id = item.id
        assert item_id is not None
        size = len(msgspec.json.encode(item))
        if len(self._order) >= _MOST_ITEMS or self._size + size > _MOST_BYTES:
            raise Refusal(
                "context_length_exceeded",
                f"A conversation holds up to {_MOST_ITEMS} items and {_MOST_BYTES} "
                "bytes of them here.",
                param="item",
            )
        if item_id in self._items:
            raise Refusal(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item_id}' already exists.",
            )
        self._insert(item, self._place(previous))
        self._sizes[item_id] = size
        self._size += size

    def _insert(self, item: AnyItem, place: int) -> None:
        item_id = item.id
        assert item_id is not None
        before = self._order[place - 1] if place else None
        self._order.insert(place, item_id)
        self._items[item_id] = item
        self._outbox.emit(ConversationItemAdded, item=item, previous_item_id=before)

    def done(self, item: AnyItem, *, by_model: bool = False) -> None:
        """Store an item's final form and emit ``done``.

        The event of an item of the model names no predecessor, as on the real service.
        """
        assert item.id is not None
        self.update(item)
        place = self._order.index(item.id)
        before = None if by_model or not place else self._order[place - 1]
        self._outbox.emit(ConversationItemDone, item=item, previous_item_id=before)

    def update(self, item: AnyItem) -> None:
        """Replace an item without an event."""
        assert item.id is not None
        self._items[item.id] = item

    def write_down(self, item_id: str, words: str) -> None:
        """Store the transcript of the user's utterance."""
        item = self._items.get(item_id)
        if isinstance(item, MessageItem):
            heard = InputAudioPart(transcript=words)
            content = tuple(
                heard if isinstance(part, InputAudioPart) else part
                for part in item.content
            )
            self.update(msgspec.structs.replace(item, content=content))

    def remove(self, item_id: str) -> None:
        """Remove an item."""
        del self._items[item_id]
        self._size -= self._sizes.pop(item_id, 0)
        self._order.remove(item_id)

    def silence(self, item_id: str) -> None:
        """Remove the transcript of a truncated item, as the real service does."""
        item = self._items.get(item_id)
        if isinstance(item, MessageItem):
            part = OutputAudioPart(transcript="")
            self.update(msgspec.structs.replace(item, content=(part,)))

    def _place(self, previous: str | None) -> int:
        if previous is None:
            return len(self._order)
        if previous == "root":
            return 0
        if previous not in self._items:
            raise Refusal(
                "item_create_invalid_previous_item_id",
                f"Error adding item: the previous item with id '{previous}' does not "
                "exist.",
            )
        return self._order.index(previous) + 1


def entries_of(items: tuple[AnyItem, ...]) -> tuple[Entry, ...]:
    """The items as entries of a `Prompt`; items without text are left out."""
    entries = (_entry(item) for item in items)
    return tuple(entry for entry in entries if entry is not None)


def _entry(item: AnyItem) -> Entry | None:
    if isinstance(item, FunctionCallItem):
        return Called(item.call_id or "", item.name, item.arguments)
    if isinstance(item, FunctionCallOutputItem):
        return Returned(item.call_id or "", item.output)
    if not isinstance(item, MessageItem):
        return None
    text = words_of(item)
    # An empty transcript is speech without words, such as an idle timeout.
    silent = item.role == "user" and any(
        isinstance(part, InputAudioPart | OutputAudioPart | AudioPart)
        and part.transcript == ""
        for part in item.content
    )
    return Line(item.role, text) if text or silent else None


def words_of(item: MessageItem) -> str:
    """The text and transcripts of a message."""
    return " ".join(filter(None, map(_words, item.content)))


def _words(part: AnyPart) -> str | None:
    match part:
        case InputTextPart() | OutputTextPart() | TextPart():
            return part.text
        case InputAudioPart() | OutputAudioPart() | AudioPart():
            return part.transcript or None
        case _:
            return None
