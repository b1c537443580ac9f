"""The rules of text: deltas grow it, a final text replaces it, nothing loses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from unicodedata import category

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Item, Part, Segment, Session
from duologue.core.state.rope import Rope

from .handler import Handler

__all__ = [
    "MAX_PARTS",
    "MAX_SEGMENTS",
    "add_segment",
    "close_part",
    "estimate_heard",
    "grow_audio",
    "grow_text",
    "growing",
    "merge_content",
    "put_item",
    "settle",
]

#: A content index beyond this is a mistake, not a message.
MAX_PARTS = 128

#: Segments kept of one part; older ones are in the log.
MAX_SEGMENTS = 1000

#: GA name of a part by the names that ``content_part`` events and the beta use.
_ALIASES = {"text": "output_text", "audio": "output_audio"}

#: Characters a second of ordinary speech, where nothing better is known.
_SPEAKING_RATE = 15.0


def put_item(session: Session, item: Item) -> Session:
    """The session with this item in place of the one of its id."""
    return replace(session, items=session.items.set(item.id, item))


def growing(otherwise: Handler) -> Handler:
    """What handles deltas of text, where ``otherwise`` handles the first of a part.

    Two events of three are a few more words behind those of an item's one part.
    """

    @wraps(otherwise)
    def _on_more_text(session: Session, event: Any, record: Record) -> Session | None:
        item = session.items.get(event.item_id)
        # A tombstone has no parts.
        if item is None or event.content_index or len(item.parts) != 1:
            return otherwise(session, event, record)
        part = item.parts[0]
        if part.final or not part.text.last or not event.delta:
            return otherwise(session, event, record)
        grown = replace(part, text=part.text.append(event.delta))
        item = replace(item, parts=(grown,))
        return replace(session, items=session.items.set(item.id, item))

    return _on_more_text


def grow_text(
    session: Session, item: Item, index: int, type: str, text: str
) -> Session | None:
    """The session with ``text`` behind that of a part; None if it is too late."""
    part = None if item.status == "deleted" else _part(item, index, type)
    if part is None or part.final:
        return None
    if not text:
        return session
    grown = replace(part, text=part.text.append(text))
    return put_item(session, _with_part(item, index, grown))


def close_part(
    item: Item, index: int, type: str, text: str | None, *, may_blank: bool = False
) -> Item:
    """The item with the final text of a part.

    None and, unless it ``may_blank``, an empty text leave the words that are there:
    a service forgets those of truncated and cancelled audio, we do not.
    """
    part = _part(item, index, type)
    if part is None:
        return item
    kept = not text and (text is None or not may_blank or item.truncation is not None)
    # A final text stands in one piece in place of its deltas, though it says the same.
    same = kept or (part.final and part.text == text)
    final = part.text if same else Rope(text or "")
    # Words that came after all are no failure any more.
    failure = part.failure if kept else None
    if (
        part.final
        and final is part.text
        and (part.type, part.failure) == (type, failure)
    ):
        return item
    closed = Part(type, final, True, part.audio_bytes, failure, part.segments)
    return _with_part(item, index, closed)


def grow_audio(item: Item, index: int, count: int) -> Item:
    """The item with ``count`` more bytes of audio received for a part."""
    part = _part(item, index, "output_audio")
    if part is None or count <= 0:
        return item
    longer = replace(part, audio_bytes=part.audio_bytes + count)
    return _with_part(item, index, longer)


def add_segment(item: Item, index: int, segment: Segment) -> Item:
    """The item with a segment of a part beside its text; itself if it has it."""
    part = _part(item, index, "input_audio")
    if part is None or segment in part.segments:
        return item
    # One without an id is another one each time.
    others = (each for each in part.segments if each.id != segment.id or not each.id)
    segments = (*others, segment)[-MAX_SEGMENTS:]
    return _with_part(item, index, replace(part, segments=segments))


def settle(item: Item) -> Item:
    """The item with every part final, with the words that it has."""
    for index, part in enumerate(item.parts):
        if not part.final:
            item = close_part(item, index, part.type, None)
    return item


def merge_content(
    item: Item, content: tuple[Any, ...], *, done: bool, news: bool, first: int = 0
) -> Item:
    """The item with the content that the service shows of it, from part ``first`` on.

    ``done`` says that the content is complete. If it is not ``news``, but announces
    what is to come or echoes what we said, a part that is final stays as it is. A
    user's audio may still get its words later: its part stays open until a transcript
    comes.
    """
    if not content:
        return item
    for index, wire in enumerate(content[:MAX_PARTS], start=first):
        if not news and _is_final(item, index):
            continue
        type, text = _READERS[wire.__class__](wire)
        if text is None and type in ("input_audio", "output_audio"):
            item = _open(item, index, type, close=done and type == "output_audio")
        elif done or type.startswith("input_"):
            item = close_part(item, index, type, text)
        else:
            item = _open(item, index, type, seed=text)
    return item


def _is_final(item: Item, index: int) -> bool:
    return 0 <= index < len(item.parts) and item.parts[index].final


def _open(
    item: Item, index: int, type: str, *, seed: str | None = None, close: bool = False
) -> Item:
    """The item with this part at least begun."""
    part = _part(item, index, type)
    if part is None:
        return item
    if close:
        return close_part(item, index, type, None)
    text = Rope(seed) if seed and not part.text else part.text
    if index < len(item.parts) and part.type == type and text is part.text:
        return item
    begun = Part(type, text, part.final, part.audio_bytes, part.failure, part.segments)
    return _with_part(item, index, begun)


def _part(item: Item, index: int, type: str) -> Part | None:
    """The part at an index, a new one where there is none, None beyond all reason."""
    if 0 <= index < len(item.parts):
        part = item.parts[index]
        return part if part.type else replace(part, type=type)
    if 0 <= index < MAX_PARTS:
        return Part(type)
    return None


def _with_part(item: Item, index: int, part: Part) -> Item:
    return replace(item, parts=_put(item.parts, index, part))


def _put(parts: tuple[Part, ...], index: int, part: Part) -> tuple[Part, ...]:
    if index < len(parts):
        return (*parts[:index], part, *parts[index + 1 :])
    if index == len(parts):
        return (*parts, part)
    # Parts may come out of order: those in between are open and of no type yet.
    return (*parts, *(Part("") for _ in range(index - len(parts))), part)


def _read_unknown(part: events.UnknownPart) -> tuple[str, str | None]:
    return _ALIASES.get(part.name, part.name), ""


_READERS: dict[type, Callable[[Any], tuple[str, str | None]]] = {
    events.InputTextPart: lambda part: ("input_text", part.text),
    events.OutputTextPart: lambda part: ("output_text", part.text),
    events.TextPart: lambda part: ("output_text", part.text),
    events.InputAudioPart: lambda part: ("input_audio", part.transcript or None),
    events.OutputAudioPart: lambda part: ("output_audio", part.transcript),
    events.AudioPart: lambda part: ("output_audio", part.transcript),
    events.InputImagePart: lambda part: ("input_image", ""),
    events.UnknownPart: _read_unknown,
}


def estimate_heard(item: Item, audio_end_ms: int, bytes_per_ms: float) -> str | None:
    """What the user can have heard of an item in its first ``audio_end_ms``.

    By the share of its audio where all of that arrived. Where it was cut off while it
    was made, its words run ahead of its audio, so an ordinary rate of speech limits
    them too. Cut back to whole words; None where no words are known.
    """
    text = "".join(str(part.text) for part in item.parts)
    if not text:
        return None
    audio = sum(part.audio_bytes for part in item.parts)
    spoken = audio_end_ms / 1000 * _SPEAKING_RATE
    if audio:
        share = len(text) * audio_end_ms / (audio / bytes_per_ms)
        spoken = share if item.status == "completed" else min(share, spoken)
    return text if spoken >= len(text) else _whole_words(text, int(spoken))


def _whole_words(text: str, count: int) -> str:
    """The first ``count`` characters, without the word that they cut."""
    cut = text[:count]
    # Scripts without cases are cut anywhere: most of them set no spaces.
    if cut and not text[count].isspace() and category(cut[-1]) != "Lo":
        cut = cut[: max(cut.rfind(" "), cut.rfind("\n")) + 1]
    return cut.rstrip()
