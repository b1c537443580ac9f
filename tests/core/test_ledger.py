"""What adds up: transcription usage, rate limits, problems."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Problem, Session
from duologue.core.reducer.ledger import MAX_LIMITS, add_problem, blame
from duologue.core.state import Ledger, RateLimit, TranscriptionUsage

from .talk import Frame, fold_frames


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
    """The others stay, with the time at which they were known."""
    session = fold_frames(
        limits(REQUESTS, {"name": "tokens", "remaining": 5}),
        limits({**REQUESTS, "remaining": 98}),
    )

    assert session.ledger.rate_limits == (
        RateLimit("requests", 100, 98, 0.5, 1000.2),
        RateLimit("tokens", None, 5, None, 1000.1),
    )


@pytest.mark.parametrize("rates", [[], [{"name": "x", "limit": 2**70}]])
def test_impossible_limits(rates: list[Frame]) -> None:
    """A number that cannot be is not known."""
    found = fold_frames(limits(*rates)).ledger.rate_limits

    assert found == tuple(RateLimit("x", at=1000.1) for _ in rates)


def test_a_few_limits_at_most() -> None:
    """A service that invents names costs no memory."""
    many = [{"name": str(n)} for n in range(99)]

    assert len(fold_frames(limits(*many)).ledger.rate_limits) == MAX_LIMITS


def test_the_same_limits_change_nothing() -> None:
    """An empty list says nothing."""
    assert Session("s").ledger is fold_frames(limits()).ledger


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
    """By seconds or by tokens, apart from what responses took."""
    ledger = fold_frames(*map(transcribed, usages)).ledger

    assert Ledger(transcription=expected) == ledger


def test_a_reason_takes_the_place_of_the_bare_fact() -> None:
    """Of the same kind and item; others are left alone."""
    bare, other = Problem("k", "failed", None, "i"), Problem("k", "oh", None, "j")
    session = add_problem(add_problem(Session("s"), other), bare)
    blamed = blame(session, Problem("k", "why", "c", "i", 5.0))

    assert blamed.ledger.problems == (other, Problem("k", "why", "c", "i"))
    assert blame(Session("s"), bare).ledger.problems == (bare,)
