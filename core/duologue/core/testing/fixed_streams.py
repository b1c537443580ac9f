"""The fixed streams that a check runs over before it draws any.

Random streams do not find every bug in every run. These find the common bugs: they have
every event of a turn, records without times, and missing events and fields.
"""

from __future__ import annotations

from functools import cache

from .mutations import FIRST, STRANGE, in_order, like, timeless, unannounced, without
from .session_script import ASIDES, ENDS, MCP, TRANSCRIPTS, Turn, script
from .stream import Stream, to_records

__all__ = ["AWAY", "always"]

#: In one stream for each group, all fields of the group are null. These fields are
#: independent: the value of one does not change how the others are read.
AWAY = (
    ("usage", "message", "code", "metadata", "previous_item_id"),
    ("status", "transcript", "output"),
    ("status_details", "total_tokens"),
)


@cache
def always() -> tuple[Stream, ...]:
    """The streams: the first records of a legal one, all of it, and its mutations.

    >>> len(always()[1]) > 100
    True
    """
    legal = to_records(script(_everything()).frames, session="s1")
    return (
        # Checks look at every state of a short stream, so this finds small failures.
        Stream(legal[:24]),
        legal,
        timeless(legal),
        *(in_order(unannounced(legal, lost)) for lost in (FIRST[:2], FIRST[2:])),
        *(without(legal, names) for names in AWAY),
        _astray(legal),
    )


def _everything() -> list[Turn]:
    """Turns that use each value of the fields of `Turn` once."""
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
            before_calls=words if number == 2 else (),
            typed_within="three" if number == 3 else "",
        )
        for number, transcript in enumerate(TRANSCRIPTS)
    ]


def _astray(stream: Stream) -> Stream:
    """The stream with an unexpected event before every seventh record."""
    mixed = Stream()
    for number, record in enumerate(stream):
        if number % 7 == 0:
            frame = STRANGE[number // 7 % len(STRANGE)]
            mixed.append(like(record, frame, "in"))
        mixed.append(record)
    return in_order(mixed)
