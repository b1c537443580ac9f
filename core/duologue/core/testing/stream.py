"""A stream of records that a person can read when a test shows it."""

from __future__ import annotations

import re

from duologue.core.record import Record

__all__ = ["Stream"]

#: Records that are shown; those of a small failure are far fewer.
_SHOWN = 150
_WIDTH = 240
#: Text of base64 or of the kind, that nobody reads.
_LONG = re.compile(r'"[A-Za-z0-9+/]{40,}={0,2}"')


class Stream(list[Record]):
    """A list of records, each one line of its ``repr``.

    Number, session, ``#`` epoch if not the first, way, where it came from if not the
    usual place, frame. An ellipsis says how many characters are not shown.

    >>> from .service import to_records
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
    if len(frame) > _WIDTH:
        frame = f"{frame[:_WIDTH]}… ({len(frame) - _WIDTH} more)"
    return f"  {number}. {record.session}{epoch} {record.dir}{src} {frame}"


def _left_out(text: re.Match[str]) -> str:
    return f'"… ({len(text[0]) - 2})"'
