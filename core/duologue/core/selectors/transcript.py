"""A line of the conversation, as users read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ..state.model import Item
from ..state.rope import Text

__all__ = ["Transcript", "is_final", "transcript_of"]


class _Unread:
    """Holds the pieces of a text until somebody reads it: joining them is not free."""

    __slots__ = ("_pieces",)
    _pieces: tuple[Text, ...]

    if TYPE_CHECKING:
        # A checker that saw it would believe in every attribute.
        text: str
    else:

        def __getattr__(self, name: str) -> str:
            if name != "text":
                raise AttributeError(name)
            text = "".join(map(str, self._pieces)).strip()
            object.__setattr__(self, "text", text)
            return text


@attrs.frozen
class Transcript(_Unread):
    """One line of the conversation.

    ``text`` is what is known so far (joined when it is first read), ``final`` whether
    it can still change; ``interrupted`` the ms after which it was cut off, ``heard``
    an estimate of what was heard by then (None where it was not cut off, or unknown).
    ``started_at`` and ``finished_at`` are seconds since the Unix epoch, None where
    unknown.
    """

    item_id: str
    role: str
    text: str
    final: bool
    interrupted: int | None = None
    heard: str | None = None
    started_at: float | None = None
    finished_at: float | None = None


def transcript_of(item: Item) -> Transcript:
    """The line that a message makes. It costs the same however long the text is."""
    cut = item.truncation
    line = Transcript(
        item.id,
        item.role or "",
        "",
        is_final(item),
        cut.audio_end_ms if cut else None,
        cut.heard if cut else None,
        item.placement.started_at,
        item.placement.finished_at,
    )
    object.__delattr__(line, "text")
    object.__setattr__(line, "_pieces", tuple(part.text for part in item.parts))
    return line


def is_final(item: Item) -> bool:
    """Whether the words of a message will not change any more."""
    if not item.parts:
        # The words of a user may still come when their item is complete.
        return item.role == "assistant" and item.status != "in_progress"
    return all(part.final for part in item.parts)
