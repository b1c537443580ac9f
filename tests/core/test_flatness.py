"""The cost of an event does not depend on the length of the conversation or the text.

Work is counted, not timed: function calls, and allocated bytes.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from duologue.core import Record, State, fold, react, select_is_settled
from duologue.core.effects.deadlines import tick_at
from duologue.core.selectors.reply import is_reply_over

FEW, MANY = 100, 10_000
#: Deltas of an item.
SHORT, LONG = 10, 10_000
#: The most that memory may grow by: the trees of a long conversation are deeper.
DEEPER = 2.0


def records(frames: Iterable[dict[str, Any]]) -> list[Record]:
    """The records of these frames; past ones have no ids, so the dedup stays empty."""
    return [
        Record.of(msgspec.json.encode(frame), seq=1, session="s", dir="in", at=1e9)
        for frame in frames
    ]


def item(number: int, role: str, status: str, *content: dict[str, Any]) -> Any:
    """A message in wire format."""
    return {
        "id": f"item_{number:06d}",
        "type": "message",
        "role": role,
        "status": status,
        "content": content,
    }


def past(count: int) -> State:
    """A session with so many items."""
    text = {"type": "input_text", "text": "Hello."}
    frames = (
        {
            "type": "conversation.item.added",
            "previous_item_id": f"item_{number - 1:06d}" if number else None,
            "item": item(number, "user", "completed", text),
        }
        for number in range(count)
    )
    return fold(records(frames))


def delta(number: int, at: int, **more: Any) -> dict[str, Any]:
    """A delta of the reply that is item ``number``."""
    place = {"item_id": f"item_{number:06d}", "output_index": 0, "content_index": 0}
    return {
        "type": "response.output_audio_transcript.delta",
        "response_id": "resp",
        **place,
        "delta": f" word {at:06d}",
        **more,
    }


def turn(number: int) -> list[dict[str, Any]]:
    """A spoken turn: item ``number`` is the user's, the next one the reply."""
    user, reply = number, number + 1
    said = {"type": "output_audio", "transcript": "Twice a day."}
    begun = item(reply, "assistant", "in_progress")
    done = item(reply, "assistant", "completed", said)
    user_id, reply_id = f"item_{user:06d}", f"item_{reply:06d}"
    place = {"response_id": "resp", "item_id": reply_id, "content_index": 0}
    place["output_index"] = 0
    before = f"item_{user - 1:06d}"
    heard = "conversation.item.input_audio_transcription"
    frames: list[dict[str, Any]] = [
        {"type": "input_audio_buffer.speech_started", "item_id": user_id},
        {"type": "input_audio_buffer.speech_stopped", "item_id": user_id},
        {
            "type": "input_audio_buffer.committed",
            "item_id": user_id,
            "previous_item_id": before,
        },
        {"type": "response.created", "response": {"id": "resp"}},
        {"type": "response.output_item.added", "response_id": "resp", "item": begun},
        {
            "type": "conversation.item.added",
            "previous_item_id": user_id,
            "item": begun,
        },
        *(delta(reply, at) for at in range(10)),
        {
            "type": f"{heard}.completed",
            "item_id": user_id,
            "content_index": 0,
            "transcript": "When does the tide come in?",
        },
        {**delta(reply, 0), "type": "response.output_audio.delta", "delta": "AAAA"},
        {
            "type": "response.output_audio_transcript.done",
            **place,
            "transcript": "Twice a day.",
        },
        {"type": "response.output_item.done", "response_id": "resp", "item": done},
        {"type": "conversation.item.done", "item": done},
        {"type": "response.done", "response": {"id": "resp", "output": [done]}},
        {"type": "conversation.item.deleted", "item_id": user_id},
    ]
    return [{**frame, "event_id": f"ev_{at}"} for at, frame in enumerate(frames)]


def growing(count: int) -> State:
    """A reply after so many deltas."""
    return fold(records(delta(0, at) for at in range(count)))


def more_words() -> list[dict[str, Any]]:
    """The next deltas of the reply."""
    return [delta(0, at, event_id=f"ev_{at}") for at in range(50)]


def tooled(count: int) -> State:
    """A session with so many function calls and their outputs."""

    def frames() -> Iterable[dict[str, Any]]:
        yield {"type": "session.created", "session": {"type": "realtime", "id": "sess"}}
        for number in range(count):
            call = {"call_id": f"call_{number}", "status": "completed"}
            yield {
                "type": "conversation.item.added",
                "item": {
                    **{"id": f"asked_{number}", "type": "function_call"},
                    **{"name": "look", "arguments": "{}", **call},
                },
            }
            yield {
                "type": "conversation.item.added",
                "item": {
                    **{"id": f"gave_{number}", "type": "function_call_output"},
                    **{"output": "7", **call},
                },
            }

    return fold(records(frames()))


def reactions(state: State, news: list[Record]) -> int:
    """The number of function calls to fold ``news`` and react to each record."""

    def work() -> None:
        before = state
        for record in news:
            after = fold([record], before)
            react(before, record, after)
            before = after

    return counted(work)


def calls(state: State, news: list[Record]) -> int:
    """The number of function calls to fold ``news``, including those of C functions."""
    return counted(lambda: fold(news, state))


def counted(work: Callable[[], object]) -> int:
    """The number of function calls in the second run; the first one fills the dedup."""
    work()
    count = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # Hypothesis has a callback for each garbage collection.
    gc.disable()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def retained(state: State, news: list[Record]) -> int:
    """The number of bytes to keep the state after each record of ``news``."""
    return traced(lambda: list(states(state, news)), peak=False)


def allocated(state: State, news: list[Record]) -> int:
    """The peak of allocated bytes while ``news`` are folded one by one."""

    def work() -> None:
        for _ in states(state, news):
            pass

    return traced(work, peak=True)


def states(state: State, news: list[Record]) -> Iterable[State]:
    """The state after each record."""
    for record in news:
        state = fold([record], state)
        yield state


def traced(work: Callable[[], object], *, peak: bool) -> int:
    """The number of bytes that ``work`` holds at its end, or at its peak."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()
        gc.collect()
        now, most = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return most if peak else now


@pytest.fixture(scope="module")
def pasts() -> tuple[State, State]:
    """A short conversation and a long one."""
    return past(FEW), past(MANY)


@pytest.fixture(scope="module")
def texts() -> tuple[State, State]:
    """A new reply and a long one."""
    return growing(SHORT), growing(LONG)


def test_calls_by_items(pasts: tuple[State, State]) -> None:
    """A turn takes as many calls after 100 items as after 10,000."""
    few, many = (
        calls(state, records(turn(count)))
        for state, count in zip(pasts, (FEW, MANY), strict=True)
    )

    assert few == many


def test_waits_by_items(pasts: tuple[State, State]) -> None:
    """To see what a session waits for takes as many calls after 10,000 items."""

    def waiting(state: State, count: int) -> int:
        session = fold(records(turn(count)), state).sessions["s"]
        item_id = f"item_{count:06d}"
        return counted(
            lambda: (
                select_is_settled(session),
                tick_at(session),
                is_reply_over(session, item_id),
            )
        )

    few, many = (
        waiting(state, count) for state, count in zip(pasts, (FEW, MANY), strict=True)
    )

    assert few == many


def test_reactions_by_calls() -> None:
    """`react` does not visit every earlier call.

    The last 64 inputs that no response has answered are visited.
    """
    few, many = (
        reactions(state, records(turn(2 * count)))
        for count in (FEW, MANY)
        for state in [tooled(count)]
    )

    assert few == many


def test_memory_by_items(pasts: tuple[State, State]) -> None:
    """Nothing is copied as a whole; the trees are a little deeper."""
    for measure in (retained, allocated):
        few, many = (
            measure(state, records(turn(count)))
            for state, count in zip(pasts, (FEW, MANY), strict=True)
        )

        assert many < DEEPER * few


def test_calls_by_deltas(texts: tuple[State, State]) -> None:
    """A delta takes as many calls after 10 others as after 10,000."""
    short, long = (calls(state, records(more_words())) for state in texts)

    assert short == long


def test_memory_by_deltas(texts: tuple[State, State]) -> None:
    """The text so far is shared, not copied."""
    for measure in (retained, allocated):
        short, long = (measure(state, records(more_words())) for state in texts)

        assert long < 1.1 * short
