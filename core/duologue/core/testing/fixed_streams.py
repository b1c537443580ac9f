"""Streams that a check runs over before any are drawn: everything, each way once.

Chance finds much, but not in every run. What an ordinary bug falls over is here: all
that can happen in a turn, records without times, events and fields that are not there.
"""

from __future__ import annotations

from functools import cache

from .mutations import STRANGE, in_order
from .session_script import ASIDES, ENDS, MCP, TRANSCRIPTS, Turn, script
from .stream import Stream
from .stream_faults import FIRST, like, sparing, timeless, unannounced
from .wire_messages import to_records

__all__ = ["AWAY", "always"]

#: Fields that are null in one stream. Where one of a group is read, the others are
#: not what decides whether it is.
AWAY = (
    ("usage", "message", "code", "metadata", "previous_item_id"),
    ("status", "transcript", "output"),
    ("status_details", "total_tokens"),
)


@cache
def always() -> tuple[Stream, ...]:
    """The streams: a few records, all of the legal one, and what can become of it.

    >>> len(always()[1]) > 100
    True
    """
    legal = to_records(script(_everything()).frames, session="s1")
    return (
        # Of a short one every state is looked at: what is found there is small at once.
        Stream(legal[:24]),
        legal,
        timeless(legal),
        *(in_order(unannounced(legal, lost)) for lost in (FIRST[:2], FIRST[2:])),
        *(sparing(legal, names) for names in AWAY),
        _astray(legal),
    )


def _everything() -> list[Turn]:
    """Turns in which each thing that a `Turn` can have is there once."""
    words, asides = ("one ", "two"), sorted(ASIDES)
    return [
        Turn(
            words,
            words,
            is_spoken=number != 1,
            transcript=transcript,
            reply_is_spoken=number % 3 != 0,
            plays=True,
            end=(*ENDS, "completed")[number],
            calls=(("{}",),) if number == 2 else (),
            mcp=(*MCP, "", "")[number],
            aside=words if number == 4 else (),
            events=tuple(asides[number :: len(TRANSCRIPTS)]),
        )
        for number, transcript in enumerate(TRANSCRIPTS)
    ]


def _astray(stream: Stream) -> Stream:
    """With an event now and then that is strange where it stands."""
    mixed = Stream()
    for number, record in enumerate(stream):
        if number % 7 == 0:
            frame = STRANGE[number // 7 % len(STRANGE)]
            mixed.append(like(record, frame, "in"))
        mixed.append(record)
    return in_order(mixed)
