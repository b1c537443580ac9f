"""The plan of one turn, and what can stand in it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

__all__ = ["ENDS", "EVENTS", "MCP", "TRANSCRIPTS", "Turn"]

#: When the words of the user come: while they speak, before the answer, within it,
#: after the next turn, not at all; or they cannot be understood.
TRANSCRIPTS = ("within", "early", "before", "late", "failed", "never")
#: How an answer ends.
ENDS = ("completed", "cancelled", "truncated", "incomplete", "failed")
#: What an MCP server has to do with it.
MCP = ("", "completed", "failed", "approval")
#: What else can happen at the end of a turn.
EVENTS = (
    *("deleted_first", "deleted_last", "reconnected", "cleared", "retrieved"),
    *("rate_limits", "error", "dtmf", "timeout", "system", "set_up"),
)


@attrs.frozen
class Turn:
    """The plan of one turn.

    ``user`` and ``reply`` are words as they come in pieces; ``calls`` are the
    arguments of functions that the model calls at once before it answers; ``aside``
    are the words of a response out of band beside it.

    * ``transcript``, when the user's words come: ``within`` the answer, ``early``
      (while they speak), ``before`` the answer, ``late`` (after the next turn),
      ``failed``, ``never``
    * ``end``, how the answer ends: ``completed``, ``cancelled``, ``truncated``,
      ``incomplete``, ``failed``
    * ``mcp``, what an MCP server does: ``""``, ``completed``, ``failed``, ``approval``
    * ``events``, what else happens at the end: ``deleted_first``, ``deleted_last``,
      ``reconnected``, ``cleared``, ``retrieved``, ``rate_limits``, ``error``, ``dtmf``,
      ``timeout``, ``system``, ``set_up``

    Raises ValueError for any other value of these four.

    >>> from .session_script import script
    >>> plan = Turn(user=("what ", "time?"), reply=("Three.",), end="truncated")
    >>> [line.text for line in script([plan]).lines]
    ['what time?', 'Three.']
    """

    user: tuple[str, ...]
    reply: tuple[str, ...]
    is_spoken: bool = True
    transcript: str = "within"
    reply_is_spoken: bool = True
    plays: bool = False
    end: str = "completed"
    calls: tuple[tuple[str, ...], ...] = ()
    mcp: str = ""
    aside: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        _check_one("Turn.transcript", self.transcript, TRANSCRIPTS)
        _check_one("Turn.end", self.end, ENDS)
        _check_one("Turn.mcp", self.mcp, MCP)
        for event in self.events:
            _check_one("Turn.events", event, EVENTS)


def _check_one(field: str, value: object, allowed: Iterable[str]) -> None:
    if value not in (names := tuple(allowed)):
        known = ", ".join(map(repr, names))
        raise ValueError(f"{field} has {value!r}, which is none of {known}")
