"""What a typed line means where several sessions are spoken to."""

from __future__ import annotations

import re

import attrs

__all__ = ["Typed", "read_line"]

_FOCUS = re.compile(r"/(?:focus\s+)?(\d{1,9})\s*")
_TO = re.compile(r"/(\d{1,9})\s+(.*)", re.DOTALL)


@attrs.frozen
class Typed:
    """``text`` for the session of this number; no text: speak to it from now on."""

    number: int
    text: str = ""


def read_line(line: str, *, focus: int, sessions: int) -> Typed | None:
    """Who is meant, and what is said; None for an empty line.

    With one session every line is said as it is. With several ``/2 hello`` is for the
    second one, ``/focus 2`` or ``/2`` turns to it, and any other line is for the one
    in ``focus``. Raises ValueError where there is no such session.
    """
    line = line.strip()
    if not line:
        return None
    if sessions == 1:
        return Typed(1, line)
    typed = Typed(focus, line)
    if match := _FOCUS.fullmatch(line):
        typed = Typed(int(match[1]))
    elif match := _TO.fullmatch(line):
        typed = Typed(int(match[1]), match[2])
    if not 1 <= typed.number <= sessions:
        raise ValueError(
            f"there is no session {typed.number}: they are 1 to {sessions}"
        )
    return typed
