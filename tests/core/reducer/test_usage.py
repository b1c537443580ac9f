"""Usage of responses and transcriptions, and rate limits."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Session, Usage
from duologue.core.events import ResponseUsage
from duologue.core.reducer.usage import MAX_LIMITS, add_usage
from duologue.core.state.model import RateLimit, SessionUsage, TranscriptionUsage

from ..talk import Frame, fold_frames


def limits(*limits: Frame) -> Frame:
    return {"type": "rate_limits.updated", "rate_limits": list(limits)}


REQUESTS: Frame = {
    "name": "requests",
    "limit": 100,
    "remaining": 99,
    "reset_seconds": 0.5,
}


def transcribed(usage: Any) -> Frame:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "u",
        "content_index": 0,
        "transcript": "a",
        "usage": usage,
    }


def test_each_limit_that_is_named_is_replaced() -> None:
    """A limit in the event is replaced; the others stay with their times."""
    session = fold_frames(
        limits(REQUESTS, {"name": "tokens", "remaining": 5}),
        limits({**REQUESTS, "remaining": 98}),
    )

    assert session.usage.rate_limits == (
        RateLimit("requests", 100, 98, 0.5, 1000.2),
        RateLimit("tokens", None, 5, None, 1000.1),
    )


@pytest.mark.parametrize("rates", [[], [{"name": "x", "limit": 2**70}]])
def test_impossible_limits(rates: list[Frame]) -> None:
    """An impossible number counts as unknown."""
    found = fold_frames(limits(*rates)).usage.rate_limits

    assert found == tuple(RateLimit("x", at=1000.1) for _ in rates)


def test_a_few_limits_at_most() -> None:
    """The number of limits is bounded, whatever names a service sends."""
    many = [{"name": str(n)} for n in range(99)]

    assert len(fold_frames(limits(*many)).usage.rate_limits) == MAX_LIMITS


def test_the_same_limits_change_nothing() -> None:
    """An empty list keeps the node object."""
    assert Session("s").usage is fold_frames(limits()).usage


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([None], TranscriptionUsage()),
        ([{"type": "duration", "seconds": 2}] * 2, TranscriptionUsage(4.0)),
        ([{"type": "duration", "seconds": -2}], TranscriptionUsage()),
        ([{"type": "duration"}], TranscriptionUsage()),
        ([{"type": "tokens"}], TranscriptionUsage()),
        (
            [{"type": "tokens", "input_tokens": 5, "output_tokens": 2}],
            TranscriptionUsage(0.0, 0, 5, 2),
        ),
        (
            [
                {
                    "type": "tokens",
                    "input_tokens": 5,
                    "input_token_details": {"text_tokens": 1, "audio_tokens": 4},
                    "output_tokens": 2,
                    "total_tokens": 7,
                },
                {"type": "duration", "seconds": 0.5},
            ],
            TranscriptionUsage(0.5, 1, 4, 2, 7),
        ),
    ],
)
def test_what_transcription_took(usages: list[Any], expected: Any) -> None:
    """Usage of transcriptions adds up in seconds or tokens, apart from responses."""
    usage = fold_frames(*map(transcribed, usages)).usage

    assert SessionUsage(transcription=expected) == usage


USED: Frame = {
    "total_tokens": 20,
    "input_tokens": 12,
    "output_tokens": 8,
    "input_token_details": {
        "text_tokens": 6,
        "audio_tokens": 5,
        "image_tokens": 1,
        "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 3},
    },
    "output_token_details": {"text_tokens": 2, "audio_tokens": 6},
}


def done(response_id: str, usage: Any) -> Frame:
    response = {"id": response_id, "status": "completed", "usage": usage}
    return {"type": "response.done", "response": response}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([], Usage()),
        ([None], Usage()),
        ([{}], Usage()),
        ([{"total_tokens": 5}], Usage(total=5)),
        ([{"total_tokens": -5}], Usage()),
        ([USED], Usage(6, 5, 1, 4, 3, 0, 2, 6, 20)),
        ([USED, None, USED], Usage(12, 10, 2, 8, 6, 0, 4, 12, 40)),
    ],
)
def test_what_responses_used(usages: list[Any], expected: Usage) -> None:
    """Usage of responses adds up by modality; cached tokens are part of the input."""
    frames = [done(f"r{n}", usage) for n, usage in enumerate(usages)]

    session = fold_frames(limits(), *frames)
    assert (session.usage, session.problems) == (SessionUsage(expected), ())


def test_usage_of_nothing_changes_nothing() -> None:
    """Absent and empty usage keep the session object."""
    session = Session("s")

    assert session is add_usage(session, None)
    assert session is add_usage(session, ResponseUsage())
