"""A stream of records that a person can read when a test shows it."""

from __future__ import annotations

from duologue.core.record import Record

__all__ = ["Stream"]

#: Records that are shown; those of a small failure are far fewer.
_SHOWN = 150
_WIDTH = 160


class Stream(list[Record]):
    """A list of records, each one line of its ``repr``: number, session, way, frame.

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
    frame = record.frame[:_WIDTH].decode(errors="backslashreplace")
    return f"  {number}. {record.session}{epoch} {record.dir} {frame}"
