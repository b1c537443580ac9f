"""The parts of an item and their text.

A delta appends to the text of a part, a final text replaces it. Text that was received
is never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.state.model import Item, Part, Segment, Session
from duologue.core.state.rope import EMPTY_ROPE, Rope

__all__ = [
    "MAX_PARTS",
    "MAX_SEGMENTS",
    "add_segment",
    "close_part",
    "close_parts",
    "grow_audio",
    "grow_partial",
    "grow_text",
    "last_audio_part",
    "merge_content",
    "transcribed_part",
    "with_partial_index",
]

#: Content indexes must be below this number.
MAX_PARTS = 128

#: The number of segments that a part keeps; older ones are in the log.
MAX_SEGMENTS = 1000

#: The GA type of a part, by the type in ``content_part`` events and in the beta.
_ALIASES = {"text": "output_text", "audio": "output_audio"}


def grow_text(
    session: Session, item: Item, index: int, type: str, text: str
) -> Session | None:
    """The session with ``text`` appended to a part.

    None if the part is final, the index is out of range, or the item is deleted.
    """
    parts = item.parts
    # The common case: the only part of an item. A deleted item has no parts.
    single = index == 0 and len(parts) == 1 and parts[0].type
    if single:
        part: Part | None = parts[0]
    else:
        part = None if item.status == "deleted" else _part(item, index, type)
    if part is None or part.final:
        return None
    if not text:
        return session
    grown = replace(part, text=part.text.append(text))
    item = replace(item, parts=(grown,) if single else _put(parts, index, grown))
    return replace(session, items=session.items.set(item.id, item))


def grow_partial(session: Session, item: Item, index: int, text: str) -> Session | None:
    """The session with ``text`` added to a transcript of the user's audio.

    Some services count their partial transcripts with the content index. Such a partial
    replaces the one before if it begins like that one; otherwise it continues it.
    None if the part is final, the index is out of range, or the item is deleted.
    """
    parts, last = item.parts, item.placement.partial_index
    target = transcribed_part(item, index, text)
    if target != index or last is not None:
        if last != index and target < len(parts):
            part = parts[target]
            if not part.final and _repeats(text, part.text):
                item = _with_part(item, target, replace(part, text=EMPTY_ROPE))
        item = with_partial_index(item, index)
    return grow_text(session, item, target, "input_audio", text)


def transcribed_part(item: Item, index: int, text: str | None) -> int:
    """The index of the part that a transcript with a content index belongs to.

    A content index without a part counts partial transcripts, and that of an image or
    of other words is wrong, so the transcript belongs to the last part with audio. But
    no text is lost: if that part has another final text, the transcript belongs to a
    new part.
    """
    count, is_counting = len(item.parts), item.placement.partial_index is not None
    can_hold = 0 <= index < count and _can_hold(item.parts[index], text)
    if index < 0 or (can_hold and not is_counting):
        return index
    target = index if can_hold and count > 1 else last_audio_part(item)
    if target is not None:
        part = item.parts[target]
        is_open = not part.final or part.failure is not None or not part.text
        if is_open or (text and _repeats(text, part.text)):
            return target
    return count if index < MAX_PARTS else index


def _can_hold(part: Part, text: str | None) -> bool:
    """Whether a part can be that of a transcript: it is no image and no other words."""
    if part.type not in ("input_text", "output_text"):
        return part.type != "input_image"
    return not part.text or bool(text and _repeats(text, part.text))


def last_audio_part(item: Item) -> int | None:
    """The index of the item's last part with audio of the user; None without one."""
    for index in reversed(range(len(item.parts))):
        if item.parts[index].type in ("", "input_audio"):
            return index
    return None


def with_partial_index(item: Item, index: int) -> Item:
    """The item with the content index of its last transcript."""
    placement = replace(item.placement, partial_index=index)
    return replace(item, placement=placement)


def _repeats(text: str, earlier: Rope) -> bool:
    """Whether a transcript and an earlier one begin with the same text."""
    pairs = list(zip(text.casefold(), str(earlier).casefold(), strict=False))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return 2 * same >= len(pairs)


def close_part(
    item: Item, index: int, type: str, text: str | None, *, may_blank: bool = False
) -> Item:
    """The item with the final text of a part.

    None leaves the text unchanged, and so does an empty text, because a service drops
    the transcript of truncated and cancelled audio. With ``may_blank``, an empty text
    replaces the text, unless the item is truncated.
    """
    part = _part(item, index, type)
    if part is None:
        return item
    kept = not text and (text is None or not may_blank or item.truncation is not None)
    # A final text replaces its deltas even if it is equal, so that it is one chunk.
    same = kept or (part.final and str(part.text) == text)
    final = part.text if same else Rope(text or "")
    # A text that arrived after a failure replaces the failure.
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
    """The item with ``count`` more bytes of audio in a part."""
    part = _part(item, index, "output_audio")
    if part is None or count <= 0:
        return item
    longer = replace(part, audio_bytes=part.audio_bytes + count)
    return _with_part(item, index, longer)


def add_segment(item: Item, index: int, segment: Segment) -> Item:
    """The item with one more segment in a part; a known id is replaced."""
    part = _part(item, index, "input_audio")
    if part is None or segment in part.segments:
        return item
    # Segments without an id are always distinct.
    others = (each for each in part.segments if each.id != segment.id or not each.id)
    segments = (*others, segment)[-MAX_SEGMENTS:]
    return _with_part(item, index, replace(part, segments=segments))


def close_parts(item: Item) -> Item:
    """The item with every part final, with its current text."""
    for index, part in enumerate(item.parts):
        if not part.final:
            item = close_part(item, index, part.type, None)
    return item


def merge_content(
    item: Item, content: tuple[Any, ...], *, done: bool, news: bool, first: int = 0
) -> Item:
    """The item with content from the wire, beginning at part ``first``.

    ``done`` means that the content is complete. If ``news`` is false, the content may
    be older than the item, so final parts stay unchanged. A part of user audio stays
    open until its transcript arrives.
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
    """The item with this part, open unless it is already final."""
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
    """The part at an index, new if missing; None if the index is out of range."""
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
    # Parts can arrive out of order: missing ones are open and have no type yet.
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
