"""Hypothesis strategies of the core's tests: streams that are cheap to draw.

The public strategies in `duologue.core.testing` draw every letter. Here a choice is a
row of a table, the simplest first, so thousands of streams are drawn in seconds, and a
failing stream shrinks by turns and choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from duologue.core import read_log, to_line
from duologue.core.events import TranslationSessionCreated
from duologue.core.testing import Script, Turn, script, to_records
from duologue.core.testing import hostile as faulty
from duologue.core.testing.mutations import like
from duologue.core.testing.session_script import ASIDES, ENDS, MCP, TRANSCRIPTS
from duologue.core.testing.strategies import translations
from duologue.core.testing.stream import Stream

from .catalogue import WIRE, fields

#: The factor of `make test-deep`: 20,000 examples in place of 500.
DEEP = 40


def examples(count: int) -> settings:
    """This number of examples, times `DEEP` under the profile ``deep``."""
    deep = settings.get_current_profile_name() == "deep"
    return settings(max_examples=count * DEEP if deep else count)


#: For properties of a part: 500 examples, or the profile's number if that is more.
enough = settings(max_examples=max(500, settings().max_examples))


#: Text in deltas, with difficult cases: spaces at the ends, deltas of spaces alone,
#: equal deltas, accents, other scripts, two code units, combining marks.
CHUNKS = (
    ("a",),
    ("b ", "a"),
    (" é", " ", "語🎵 "),
    ("ab", "ab", "ab", "ab"),
    ("e", "\u0301", "\n", "🎵", "ab ", "b", "é"),
)
#: Whether the user speaks, and when the transcript arrives.
_WAYS = ((False, "within"), *product((True,), TRANSCRIPTS))
#: Whether the reply is spoken and played, and how it ends.
_REPLIES = tuple(product((False, True), (False, True), ("completed", *ENDS)))
#: The arguments of calls, and the outcome of an MCP call.
_CALLS = ((), (("{}",),), (('{"city": "', "Łódź", '"}'), ("",), ("{}",)))
_TOOLS = ((), *product(_CALLS, MCP))
_EVENTS = ((), *product(sorted(ASIDES)), *product(sorted(ASIDES), repeat=2))


def _turn(user: Any, reply: Any, tools: Any, aside: Any, events: Any) -> Turn:
    said, (is_spoken, transcript) = user
    answer, (reply_is_spoken, plays, end) = reply
    calls, mcp = tools or ((), "")
    return Turn(
        user=said,
        reply=answer,
        is_spoken=is_spoken,
        transcript=transcript,
        reply_is_spoken=reply_is_spoken,
        plays=plays,
        end=end,
        calls=calls,
        mcp=mcp,
        aside=aside,
        events=events,
    )


#: Plans of one turn.
_TURNS = st.builds(
    _turn,
    st.sampled_from(tuple(product(CHUNKS, _WAYS))),
    st.sampled_from(tuple(product(CHUNKS, _REPLIES))),
    st.sampled_from(_TOOLS),
    st.sampled_from(((), (), *CHUNKS)),
    st.sampled_from(_EVENTS),
)


def scripts(longest: int) -> st.SearchStrategy[Script]:
    """Sessions of up to so many turns, with the expected transcript."""
    return st.lists(_TURNS, min_size=1, max_size=longest).map(script)


def legal(longest: int = 3, sessions: int = 1) -> st.SearchStrategy[Stream]:
    """Records of up to ``sessions`` interleaved sessions of up to so many turns.

    If there can be two, some are translations. The first one is called ``s``.
    """
    frames = scripts(longest).map(lambda played: played.frames)
    if sessions == 1:
        return frames.map(to_records)
    tracks = st.lists(frames | frames | _TRANSLATIONS, min_size=1, max_size=sessions)
    return st.builds(_mixed, tracks, _CHOICES)


def _mixed(tracks: Sequence[Sequence[Any]], choices: bytes) -> Stream:
    names = "stuvw"
    every = [to_records(frames, session=names[n]) for n, frames in enumerate(tracks)]
    return Stream(mixed(choices, *every))


_TRANSLATIONS = translations(turns=3)
_CHOICES = st.binary(min_size=1, max_size=8)


def mixed(choices: bytes, *tracks: Sequence[Any]) -> list[Any]:
    """All tracks in one, each in its order; ``choices`` select the next track."""
    found: list[Any] = []
    left = [list(reversed(track)) for track in tracks if track]
    while left:
        track = left[choices[len(found) % len(choices)] % len(left)]
        found.append(track.pop())
        if not track:
            left.remove(track)
    return found


#: An event of every wire type, with every field set.
_EXAMPLES = [msgspec.json.encode(fields(cls)) for cls in WIRE]
_STRAYS = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from(_EXAMPLES)), max_size=3
)


def hostile(of: st.SearchStrategy[Stream] | None = None) -> st.SearchStrategy[Stream]:
    """A legal stream with faults of a network or a service, and up to three events of
    any type out of place."""
    return st.builds(_strayed, faulty(legal() if of is None else of), _STRAYS)


def _strayed(stream: Stream, strays: list[tuple[int, bytes]]) -> Stream:
    for number, stray in strays if stream else ():
        at = number % len(stream)
        stream.insert(at, like(stream[at], stray, "in"))
    if any(isinstance(r.event, TranslationSessionCreated) for r in stream):
        # The meaning of a type depends on earlier events: read the stream as a log.
        lines = [to_line(record, keep_audio=True) for record in stream]
        return Stream(read_log(lines))
    return stream


#: Up to two sessions of up to three turns: legal, and with faults.
LEGAL = legal(sessions=2)
HOSTILE = hostile(LEGAL)
EITHER = LEGAL | HOSTILE
