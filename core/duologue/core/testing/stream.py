"""A stream of records that a person can read when a test shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from duologue.core.log.record import Record

__all__ = ["Stream", "recorded"]

#: Records that are shown; those of a small failure are far fewer.
_SHOWN = 150
#: Characters of a frame that are shown: from its beginning, and from its end, where
#: those fields stand that say how something ended.
_HEAD = 240
_TAIL = 160
#: Text of base64 or of the kind, that nobody reads.
_LONG = re.compile(r'"[A-Za-z0-9+/]{40,}={0,2}"')


class Stream(list[Record]):
    """A list of records, each one line of its ``repr``.

    Number, session, ``#`` epoch if not the first, way, where it came from if not the
    usual place, frame. An ellipsis says how many characters in the middle of a frame
    are not shown; ``stream[number - 1].frame`` has them all.

    >>> from .service_frames import to_records
    >>> to_records([{"type": "duologue.tick"}])
    [
      1. s local {"type":"duologue.tick"}
    ]
    """

    def __repr__(self) -> str:
        lines = [
            _line(number, record) for number, record in enumerate(self[:_SHOWN], 1)
        ]
        if len(self) > _SHOWN:
            lines.append(f"  … and {len(self) - _SHOWN} more")
        return "\n".join(["[", *lines, "]"])


def _line(number: int, record: Record) -> str:
    epoch = f"#{record.epoch}" if record.epoch else ""
    src = f" ({record.src})" if record.src else ""
    frame = record.frame.decode(errors="backslashreplace")
    frame = _LONG.sub(_left_out, frame)
    if (more := len(frame) - _HEAD - _TAIL) > 0:
        frame = f"{frame[:_HEAD]}… ({more} more) …{frame[-_TAIL:]}"
    return f"  {number}. {record.session}{epoch} {record.dir}{src} {frame}"


def _left_out(text: re.Match[str]) -> str:
    return f'"… ({len(text[0]) - 2})"'


def recorded(records: Any) -> Stream:
    """These records as a stream. Raises TypeError for what are none.

    >>> recorded([])
    [
    ]
    """
    if not isinstance(records, Iterable):
        raise TypeError(f"{_WANTED}, not {records!r:.80}")
    given: list[Any] = [*records]
    for record in given:
        if not isinstance(record, Record):
            raise TypeError(f"{_WANTED}, and {record!r:.80} is no Record")
    return Stream(given)


_WANTED = "streams are a strategy, or a sequence of records (see to_records)"
