"""The syntax of a typed line: text for a session, or a change of focus."""

from __future__ import annotations

import re

import attrs

__all__ = ["InputLine", "parse_line"]

_FOCUS = re.compile(r"/(?:focus\s+)?(\d{1,9})\s*")
_TEXT = re.compile(r"/(\d{1,9})\s+(.*)", re.DOTALL)


@attrs.frozen
class InputLine:
    """Text for the session of this number; without text, the new focus."""

    number: int
    text: str = ""


def parse_line(line: str, *, focus: int, sessions: int) -> InputLine | None:
    """Parse a typed line; an empty one is None.

    With several sessions, ``/2 hello`` is for session 2, ``/focus 2`` and ``/2`` move
    the focus there, and any other line is for the session in ``focus``. With one
    session each line is sent unchanged. Raises ValueError for an unknown session.
    """
    line = line.strip()
    if not line:
        return None
    if sessions == 1:
        return InputLine(1, line)
    parsed = InputLine(focus, line)
    if match := _FOCUS.fullmatch(line):
        parsed = InputLine(int(match[1]))
    elif match := _TEXT.fullmatch(line):
        parsed = InputLine(int(match[1]), match[2])
    if not 1 <= parsed.number <= sessions:
        raise ValueError(
            f"there is no session {parsed.number}: they are 1 to {sessions}"
        )
    return parsed
