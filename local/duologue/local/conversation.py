"""The conversation as the service keeps it: items in order."""

from __future__ import annotations

import msgspec

from duologue.core.events import (
    AnyItem,
    ConversationItemAdded,
    ConversationItemDone,
    FunctionCallOutputItem,
    MessageItem,
    OutputAudioPart,
)

from .outbox import Outbox, Refusal
from .ports import Line

__all__ = ["Conversation", "lines_of"]


class Conversation:
    """The items of the default conversation, and the events that show them."""

    def __init__(self, outbox: Outbox) -> None:
        self.id = outbox.new_id("conv")
        self._outbox = outbox
        self._order: list[str] = []
        self._items: dict[str, AnyItem] = {}

    @property
    def last_id(self) -> str | None:
        """The id of the last item; None where there is none."""
        return self._order[-1] if self._order else None

    @property
    def items(self) -> tuple[AnyItem, ...]:
        """All items in their order."""
        return tuple(self._items[item_id] for item_id in self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> AnyItem:
        """The item of that id. Raises `Refusal`."""
        if (item := self._items.get(item_id)) is None:
            raise Refusal(
                "item_not_found", f"Item with item_id '{item_id}' does not exist."
            )
        return item

    def add(self, item: AnyItem, previous: str | None = None) -> None:
        """Put an item behind ``previous`` (default the end) and say ``added``.

        ``root`` means the front. Raises `Refusal` and adds nothing.
        """
        item_id = item.id
        assert item_id is not None
        if item_id in self._items:
            raise Refusal(
                "item_already_exists",
                f"Item with item_id '{item_id}' already exists.",
                param="item.id",
            )
        place = self._place(previous)
        before = self._order[place - 1] if place else None
        self._order.insert(place, item_id)
        self._items[item_id] = item
        self._outbox.emit(ConversationItemAdded, item=item, previous_item_id=before)

    def done(self, item: AnyItem, *, by_model: bool = False) -> None:
        """Keep an item's last form and say ``done``.

        The service names no predecessor here for what its model made.
        """
        assert item.id is not None
        self.keep(item)
        place = self._order.index(item.id)
        before = None if by_model or not place else self._order[place - 1]
        self._outbox.emit(ConversationItemDone, item=item, previous_item_id=before)

    def keep(self, item: AnyItem) -> None:
        """Remember an item's new form without saying so."""
        assert item.id is not None
        self._items[item.id] = item

    def remove(self, item_id: str) -> None:
        """Forget an item. Raises `Refusal`."""
        self.get(item_id)
        del self._items[item_id]
        self._order.remove(item_id)

    def silence(self, item_id: str) -> None:
        """Forget the words of a truncated item, as the service does."""
        item = self._items.get(item_id)
        if isinstance(item, MessageItem):
            part = OutputAudioPart(transcript="")
            self.keep(msgspec.structs.replace(item, content=(part,)))

    def _place(self, previous: str | None) -> int:
        if previous is None:
            return len(self._order)
        if previous == "root":
            return 0
        if previous not in self._items:
            raise Refusal(
                "item_not_found",
                f"Previous item with item_id '{previous}' does not exist.",
                param="previous_item_id",
            )
        return self._order.index(previous) + 1


def lines_of(items: tuple[AnyItem, ...]) -> tuple[Line, ...]:
    """What was said in these items; those without words are left out."""
    lines = (_line(item) for item in items)
    return tuple(line for line in lines if line.text)


def _line(item: AnyItem) -> Line:
    if isinstance(item, FunctionCallOutputItem):
        return Line("tool", item.output)
    if not isinstance(item, MessageItem):
        return Line("", "")
    words = []
    for part in item.content:
        said = getattr(part, "text", None) or getattr(part, "transcript", None)
        if isinstance(said, str) and said:
            words.append(said)
    return Line(item.role, " ".join(words))
