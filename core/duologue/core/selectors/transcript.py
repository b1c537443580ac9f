"""The transcript of a conversation, and the texts of a translation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from ..argument_checks import of_session
from ..state.model import Item, Session
from ..state.rope import Rope
from .items import shown_items
from .memo import memoised

__all__ = [
    "Transcript",
    "TranslatedText",
    "is_final",
    "select_final_transcripts",
    "select_transcripts",
    "select_transcripts_by_role",
    "select_translation",
    "transcript_of",
]


class _LazyText:
    """Joins the chunks of a text when ``text`` is first read."""

    __slots__ = ("_chunks",)
    _chunks: tuple[Rope, ...]

    if TYPE_CHECKING:
        # If a type checker saw `__getattr__`, it would accept any attribute.
        text: str
    else:

        def __getattr__(self, name: str) -> str:
            if name != "text":
                raise AttributeError(name)
            text = "".join(map(str, self._chunks)).strip()
            object.__setattr__(self, "text", text)
            return text


@attrs.frozen
class Transcript(_LazyText):
    """One line of the conversation.

    ``text`` is the text so far (joined when it is first read); if ``final``, it will
    not change. If the audio was cut off, ``interrupted`` is the position in ms, and
    ``heard`` an estimate of the words before it (None if unknown). ``started_at`` and
    ``finished_at`` are seconds since the Unix epoch, None if unknown.
    """

    item_id: str
    role: str
    text: str
    final: bool
    interrupted: int | None = None
    heard: str | None = None
    started_at: float | None = None
    finished_at: float | None = None


@attrs.frozen
class TranslatedText:
    """The source and the translated text, and the audio position of each, in ms."""

    input: str
    output: str
    input_ms: int | None = None
    output_ms: int | None = None


@memoised("items", "conversation")
def select_transcripts(session: Session) -> tuple[Transcript, ...]:
    """The lines of the user and the assistant, spoken or typed, in order.

    The line of a user who is still speaking may have no text yet. System messages,
    calls, deleted items and cleared lines are excluded.
    """
    lines = [transcript_of(item) for item in _messages(session)]
    lines.reverse()
    return tuple(lines)


def _messages(session: Session) -> Iterator[Item]:
    """The items that have a line in the transcript, the newest first."""
    return (item for item in shown_items(session) if item.role in _ROLES)


_ROLES = ("user", "assistant")


@memoised("items", "conversation")
def select_final_transcripts(session: Session) -> tuple[Transcript, ...]:
    """The lines that will not change."""
    return tuple(line for line in select_transcripts(session) if line.final)


@of_session
def select_transcripts_by_role(session: Session, role: str) -> tuple[Transcript, ...]:
    """The lines of ``user`` or ``assistant``."""
    return tuple(line for line in select_transcripts(session) if line.role == role)


def transcript_of(item: Item) -> Transcript:
    """The line of a message. This takes constant time: the text is joined later."""
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
    object.__setattr__(line, "_chunks", tuple(part.text for part in item.parts))
    return line


def is_final(item: Item) -> bool:
    """Whether the text of a message will not change."""
    if not item.parts:
        # The transcription of a user's item can arrive after the item is complete.
        return item.role == "assistant" and item.status != "in_progress"
    return all(part.final for part in item.parts)


@memoised("conversation")
def select_translation(session: Session) -> TranslatedText | None:
    """The texts of a translation session; None for any other session."""
    texts = session.conversation.translation
    if texts is None:
        return None
    return TranslatedText(
        str(texts.input), str(texts.output), texts.input_ms, texts.output_ms
    )
