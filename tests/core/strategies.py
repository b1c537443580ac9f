"""Hypothesis strategies of the core's tests: legal streams, and what a broken network
or a careless service makes of them."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from .catalogue import WIRE, fields
from .talk import Frame, Service

#: How many times as many examples `make test-deep` takes: 20,000 for 500.
DEEP = 40


def examples(count: int) -> settings:
    """So many examples, or `DEEP` times as many under the profile ``deep``."""
    deep = settings.get_current_profile_name() == "deep"
    return settings(max_examples=count * DEEP if deep else count)


words = st.text("abcdeé 語", min_size=1, max_size=6)
chunks = st.lists(words, min_size=1, max_size=6).map(tuple)


@attrs.frozen
class Turn:
    """What happens in one turn: who speaks, how it is written down, how it ends."""

    user: tuple[str, ...]
    reply: tuple[str, ...]
    is_spoken: bool = True
    transcript: str = "after"
    reply_is_spoken: bool = True
    end: str = "completed"
    aside: tuple[str, ...] = ()


@attrs.frozen
class Talk:
    """The frames of a session, and what its transcript must be."""

    frames: tuple[Frame, ...]
    expected: tuple[tuple[str, str, str], ...]


def turns(max_size: int = 6) -> st.SearchStrategy[list[Turn]]:
    """Some turns of a conversation."""
    turn = st.builds(
        Turn,
        user=chunks,
        reply=chunks,
        is_spoken=st.booleans(),
        transcript=st.sampled_from(["early", "before", "after", "failed"]),
        reply_is_spoken=st.booleans(),
        end=st.sampled_from(["completed", "completed", "cancelled", "truncated"]),
        aside=st.one_of(st.just(()), chunks),
    )
    return st.lists(turn, min_size=1, max_size=max_size)


def talk(plan: list[Turn], prefix: str = "") -> Talk:
    """The stream of these turns, in an order that the service really uses."""
    service = Service(prefix)
    service.created()
    expected: list[tuple[str, str, str]] = []
    for turn in plan:
        expected += _play(service, turn)
    return Talk(tuple(service.frames), tuple(expected))


def _play(service: Service, turn: Turn) -> list[tuple[str, str, str]]:
    late = turn.is_spoken and turn.transcript not in ("early", "before")
    if turn.is_spoken:
        user = service.start_speech()
        if turn.transcript == "early":
            service.transcribe(user, turn.user, fails=False)
        service.end_speech(user)
        if turn.transcript == "before":
            service.transcribe(user, turn.user, fails=False)
    else:
        user = service.typed("".join(turn.user))
    if turn.aside:
        service.reply(*turn.aside, in_band=False)
    response = service.begin()
    said = service.say(response, turn.reply, spoken=turn.reply_is_spoken)
    if late:
        service.transcribe(user, turn.user, fails=turn.transcript == "failed")
    if turn.end == "completed":
        service.end(response, [service.finish(said)])
    else:
        item = service.finish(said, "incomplete")
        service.end(response, [item], "cancelled", reason="turn_detected")
    if turn.end == "truncated":
        at = {"item_id": said["item_id"], "content_index": 0}
        service.send("conversation.item.truncated", **at, audio_end_ms=20)
    return [
        (user, "user", "".join(turn.user).strip()),
        (said["item_id"], "assistant", "".join(turn.reply).strip()),
    ]


def talks(prefix: str = "", max_size: int = 6) -> st.SearchStrategy[Talk]:
    """Streams of several turns with what they must fold to."""
    return turns(max_size).map(lambda plan: talk(plan, prefix))


_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-5, 0, 3, 2**70, 10**400])
    | st.floats()
    | st.text("a", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text("a", max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)
_noise = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"null", b"[]", b'"x"', b'{"type":1}', b'{"type":"error"', b"{}"]),
    st.sampled_from(
        [
            {"type": "response.dreamt", "event_id": "event_new"},
            {"type": "duologue.forgotten"},
            {"type": "input_audio_buffer.dtmf_event_received", "event": "1"},
        ]
    ),
    st.sampled_from([fields(cls) for cls in WIRE]),
)


@st.composite
def hostile(draw: st.DrawFn, of: st.SearchStrategy[Talk] | None = None) -> list[Any]:
    """Frames of a legal stream, doubled, lost, moved, bent and mixed with noise."""
    frames: list[Any] = list(draw(of or talks(max_size=4)).frames)
    for _ in range(draw(st.integers(0, 12))):
        at = draw(st.integers(0, max(len(frames) - 1, 0)))
        what = draw(st.sampled_from(["double", "lose", "move", "bend", "noise"]))
        if what == "noise" or not frames:
            frames.insert(at, draw(_noise))
        elif what == "double":
            frames.insert(draw(st.integers(0, len(frames))), frames[at])
        elif what == "lose":
            del frames[at]
        elif what == "move":
            frames.insert(draw(st.integers(0, len(frames) - 1)), frames.pop(at))
        else:
            frames[at] = draw(bent(frames[at]))
    return frames


@st.composite
def bent(draw: st.DrawFn, frame: Any) -> Any:
    """A frame with one value, at any depth, taken out or made something else."""
    if not isinstance(frame, dict):
        return frame
    frame = copy.deepcopy(frame)
    inside: Any = frame
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = draw(st.sampled_from(keys))
        deeper = inside[key]
        if isinstance(deeper, dict | list) and deeper and draw(st.booleans()):
            inside = deeper
            continue
        break
    if draw(st.booleans()) and isinstance(inside, dict):
        del inside[key]
    else:
        inside[key] = draw(_anything)
    return frame


def encoded(frame: Any) -> bytes:
    """The frame's bytes."""
    return frame if isinstance(frame, bytes) else msgspec.json.encode(frame)
