"""Hypothesis strategies of legal streams: a turn, a session, several sessions."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from .service_frames import Service
from .service_habits import HABITS, with_habits
from .session_script import ASIDES, ENDS, MCP, TRANSCRIPTS, Script, Turn, script
from .stream import Frame, Stream, to_records

__all__ = ["habits", "plans", "records", "scripts", "translations", "turns"]

#: Words with spaces, accents, other scripts, and a character of two UTF-16 code units.
_WORDS = st.text("ab é語🎵", min_size=1, max_size=5)
_CHUNKS = st.lists(_WORDS, min_size=1, max_size=4).map(tuple)
_PIECES = st.sampled_from(
    [("{}",), ('{"a"', ":1}"), ('{"city": "', "Łódź", '"}'), ("",)]
)
_PLAIN: st.SearchStrategy[frozenset[str]] = st.just(frozenset())
_NOTHING: st.SearchStrategy[Any] = st.just(())


def plans(*, tools: bool = True, spoken: bool | None = None) -> st.SearchStrategy[Turn]:
    """Plans of one turn. With ``spoken`` the user always speaks, or never.

    >>> from hypothesis import given
    >>> @given(plans(spoken=False))
    ... def test_they_type(turn):
    ...     assert not turn.is_spoken
    >>> test_they_type()
    """
    calls = st.lists(_PIECES, min_size=1, max_size=3).map(tuple)
    return st.builds(
        Turn,
        user=_CHUNKS,
        reply=_CHUNKS,
        is_spoken=st.booleans() if spoken is None else st.just(spoken),
        transcript=st.sampled_from(TRANSCRIPTS),
        reply_is_spoken=st.booleans(),
        plays=st.booleans(),
        end=st.sampled_from((*ENDS, "completed", "completed")),
        calls=_NOTHING | calls if tools else _NOTHING,
        mcp=st.sampled_from((*MCP, "", "")) if tools else st.just(""),
        aside=_NOTHING | _CHUNKS,
        events=st.lists(st.sampled_from(sorted(ASIDES)), max_size=2).map(tuple),
        before_calls=_NOTHING | _CHUNKS,
        typed_within=st.just("") | _WORDS,
    )


def habits(*names: str, most: int = 3) -> st.SearchStrategy[frozenset[str]]:
    """Sets of up to ``most`` habits: of these, or of all. `with_habits` lists them.

    >>> from hypothesis import given
    >>> @given(habits("no_echo", "no_usage"))
    ... def test_they_are_these(some):
    ...     assert some <= {"no_echo", "no_usage"}
    >>> test_they_are_these()
    """
    return st.frozensets(st.sampled_from(names or [*HABITS]), max_size=most)


def scripts(
    *,
    turns: int = 5,
    tools: bool = True,
    prefix: str = "",
    habits: st.SearchStrategy[frozenset[str]] = _PLAIN,
) -> st.SearchStrategy[Script]:
    """Sessions of up to ``turns`` turns, with the expected transcript and calls.

    ``habits`` draws the habits of the service: see the strategy `habits`. By default
    it has none.

    >>> from hypothesis import given
    >>> from duologue.core import fold, select_transcripts
    >>> @given(scripts(turns=2))
    ... def test_every_line_is_there(played):
    ...     session = fold(to_records(played.frames)).sessions["s"]
    ...     said = [line.text for line in select_transcripts(session)]
    ...     assert said == [line.text for line in played.lines]
    >>> test_every_line_is_there()
    """
    plan = st.lists(plans(tools=tools), min_size=1, max_size=turns)
    plain = plan.map(lambda turns: script(turns, prefix))
    return plain if habits is _PLAIN else st.builds(with_habits, plain, habits)


def records(
    *,
    turns: int = 5,
    sessions: int = 1,
    tools: bool = True,
    translation: bool = False,
    habits: st.SearchStrategy[frozenset[str]] = _PLAIN,
) -> st.SearchStrategy[Stream]:
    """Legal streams, as in a log.

    Up to ``turns`` turns in each of up to ``sessions`` interleaved sessions (``s1``,
    ``s2``, …): spoken and typed, with tools and MCP (unless ``tools`` is off),
    interruption, truncation, deletion, transcriptions that are early, late or missing,
    out-of-band responses, errors, new connections, local facts. With ``translation``
    some sessions are translations. ``habits`` draws the habits of the services: see the
    strategy `habits`.

    >>> from hypothesis import given
    >>> from duologue.core import fold
    >>> @given(records(turns=2, sessions=2))
    ... def test_nothing_is_malformed(stream):
    ...     for session in fold(stream).sessions.values():
    ...         assert session.dedup.malformed == 0
    >>> test_nothing_is_malformed()
    """
    played = scripts(turns=turns, tools=tools, habits=habits)
    return _records(played, sessions, translation)


@st.composite
def _records(
    draw: st.DrawFn,
    played: st.SearchStrategy[Script],
    sessions: int,
    translation: bool,
) -> Stream:
    count = draw(st.integers(1, sessions)) if sessions > 1 else 1
    tracks: list[Stream] = []
    for number in range(1, count + 1):
        if translation and draw(st.booleans()):
            frames = draw(translations())
        else:
            frames = list(draw(played).frames)
        tracks.append(to_records(frames, session=f"s{number}"))
    return tracks[0] if count == 1 else _mix(tracks, draw(st.binary(min_size=1)))


def _mix(tracks: list[Stream], choices: bytes) -> Stream:
    """All tracks interleaved, each in its order, with increasing times."""
    mixed = Stream()
    left = [list(reversed(track)) for track in tracks]
    while left:
        choice = choices[len(mixed) % len(choices)] % len(left)
        record = left[choice].pop()
        mixed.append(msgspec.structs.replace(record, at=1000.0 + len(mixed) / 10))
        left = [track for track in left if track]
    return mixed


def translations(turns: int = 8) -> st.SearchStrategy[list[Frame]]:
    """The frames of a translation session: both texts, and a clean end.

    >>> from hypothesis import given
    >>> @given(translations())
    ... def test_it_ends(frames):
    ...     assert frames[-1]["type"] == "duologue.closed"
    >>> test_it_ends()
    """
    kind = st.sampled_from(["input_transcript", "output_transcript"])
    return st.lists(st.tuples(kind, _WORDS), max_size=turns).map(_translate)


def _translate(words: list[tuple[str, str]]) -> list[Frame]:
    service = Service()
    service.note("duologue.connecting")
    service.created(type="translation", model="translator")
    for elapsed, (kind, text) in enumerate(words):
        service.send(f"session.{kind}.delta", delta=text, elapsed_ms=elapsed)
        service.send("session.output_audio.delta", delta="AAAA", elapsed_ms=elapsed)
    service.note("session.close")
    service.send("session.closed")
    service.note("duologue.closing")
    service.note("duologue.closed")
    return service.frames


def turns(
    *, tools: bool = True, spoken: bool | None = None
) -> st.SearchStrategy[Stream]:
    """The stream of a session of one turn: the smallest realistic stream.

    >>> from hypothesis import given
    >>> from duologue.core import fold
    >>> @given(turns(spoken=True))
    ... def test_the_user_spoke(stream):
    ...     assert fold(stream).sessions["s1"].items
    >>> test_the_user_spoke()
    """
    plan = plans(tools=tools, spoken=spoken)
    return plan.map(lambda turn: to_records(script([turn]).frames, session="s1"))
