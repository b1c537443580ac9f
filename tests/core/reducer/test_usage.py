"""Usage of responses and transcriptions, and rate limits."""

from __future__ import annotations

from typing import Any

import pytest
from immutables import Map
from msgspec.structs import replace

from duologue.core import Session, Usage
from duologue.core.events import RealtimeResponse, ResponseUsage
from duologue.core.events.objects import (
    CachedTokenDetails,
    InputTokenDetails,
    OutputTokenDetails,
)
from duologue.core.reducer.usage import MAX_LIMITS, add_usage, count_ended, resolve
from duologue.core.state.model import (
    KnownUsage,
    RateLimit,
    SessionUsage,
    TranscriptionUsage,
)

from ..talk import Frame, fold_frames


def limits(*limits: Frame) -> Frame:
    return {"type": "rate_limits.updated", "rate_limits": list(limits)}


REQUESTS: Frame = {
    "name": "requests",
    "limit": 100,
    "remaining": 99,
    "reset_seconds": 0.5,
}


def transcribed(usage: Any, item_id: str = "u", index: int = 0) -> Frame:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": item_id,
        "content_index": index,
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
            TranscriptionUsage(0.0, 0, 5, 2, 7),
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
    frames = [transcribed(usage, f"u{n}") for n, usage in enumerate(usages)]
    usage = fold_frames(*frames).usage

    assert expected == usage.transcription


DURATION = {"type": "duration", "seconds": 2}


def test_a_transcription_is_counted_once() -> None:
    """A part of an item is billed once, however often the service reports its usage."""
    other = {**transcribed(DURATION, index=1), "transcript": "other words"}
    frames = [
        *(transcribed(None), transcribed(DURATION), transcribed(DURATION)),
        transcribed({"type": "tokens", "input_tokens": 5}),
        *(other, transcribed(DURATION, "v")),
    ]
    usage = fold_frames(*frames).usage

    assert usage.transcription == TranscriptionUsage(6.0)
    assert dict(usage.transcribed) == {"u": (0, 1), "v": (0,)}


@pytest.mark.parametrize("index", [1, 5])
def test_a_transcription_with_another_index_is_counted_once(index: int) -> None:
    """The same words with another content index are of the same part."""
    again = transcribed(DURATION, index=index)
    session = fold_frames(transcribed(DURATION), again, again)

    assert len(session.items["u"].parts) == 1
    assert session.usage.transcription == TranscriptionUsage(2.0)


@pytest.mark.parametrize("again", [False, True])
def test_the_transcription_of_a_deleted_item_is_billed(again: bool) -> None:
    """The usage counts, once, before or after the deletion; the text does not."""
    deleted = {"type": "conversation.item.deleted", "item_id": "u"}
    first = [transcribed(DURATION)] * again
    session = fold_frames(*first, deleted, *[transcribed(DURATION)] * 2)

    assert session.usage.transcription == TranscriptionUsage(2.0)
    assert session.items["u"].parts == ()
    # A repeated event of a deleted item comes too late.
    assert session.dedup.late == 1 + again


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
        ([{**USED, "total_tokens": None}], Usage(6, 5, 1, 4, 3, 0, 2, 6, 20)),
        ([{"input_tokens": 5, "output_tokens": 2}], Usage(total=7)),
        ([{**USED, "total_tokens": 2**60}], Usage(6, 5, 1, 4, 3, 0, 2, 6, 0)),
        ([{"total_tokens": -5}], Usage()),
        ([USED], Usage(6, 5, 1, 4, 3, 0, 2, 6, 20)),
        ([USED, None, USED], Usage(12, 10, 2, 8, 6, 0, 4, 12, 40)),
    ],
)
def test_what_responses_used(usages: list[Any], expected: Usage) -> None:
    """Usage of responses adds up by modality; cached tokens are part of the input."""
    frames = [done(f"r{n}", usage) for n, usage in enumerate(usages)]

    session = fold_frames(limits(), *frames)
    assert (session.usage.tokens, session.problems) == (expected, ())


@pytest.mark.parametrize("usage", [None, ResponseUsage()])
def test_usage_of_nothing_changes_nothing(usage: ResponseUsage | None) -> None:
    """Absent and empty usage keep the session object."""
    session = fold_frames(done("r", None))

    assert session is add_usage(session, "r", RealtimeResponse(id="r", usage=usage))


def test_what_is_certain_is_kept_by_model() -> None:
    """A response has the tokens that are certain, and so has its model."""
    model = {"type": "session.created", "session": {"type": "realtime", "model": "m"}}
    session = fold_frames(done("a", USED), model, done("b", USED), done("c", None))
    known = Usage(6, 5, 1, 4, 3, 0, 2, 6, 20)

    assert session.usage == SessionUsage(
        Usage(12, 10, 2, 8, 6, 0, 4, 12, 40),
        known=Map({"": known, "m": known}),
        incomplete=1,
    )
    assert session.responses.by_id["b"].usage == KnownUsage(known, complete=True)
    assert session.responses.by_id["c"].usage is None
    assert [each.model for each in session.responses.by_id.values()].count("m") == 2


@pytest.mark.parametrize(
    ("tokens", "known", "incomplete"),
    [
        (Usage(3, total=3), {"m": Usage(3, total=3)}, 1),
        (Usage(3, total=9), {}, 2),
        (Usage(), {}, 1),
    ],
)
def test_a_snapshot_that_has_only_totals(
    tokens: Usage, known: dict[str, Usage], incomplete: int
) -> None:
    """Totals that add up are certain, and of the model of the session."""
    model = {"type": "session.created", "session": {"type": "realtime", "model": "m"}}
    session = fold_frames(model, done("r", None))
    session = replace(session, usage=SessionUsage(tokens))
    again = add_usage(session, "r", RealtimeResponse(id="r", usage=IN))
    assert again is session

    ended = count_ended(session).usage
    assert ended == SessionUsage(tokens, known=Map(known), incomplete=incomplete)


IN = ResponseUsage(total_tokens=3, input_tokens=3, output_tokens=0)


def given(cached: int | None = None, *split: int | None) -> InputTokenDetails:
    """60 text and 40 audio tokens, with these cached ones."""
    names = ("text_tokens", "audio_tokens", "image_tokens")
    details = CachedTokenDetails(**dict(zip(names, split, strict=False)))
    return InputTokenDetails(
        text_tokens=60,
        audio_tokens=40,
        cached_tokens=cached,
        cached_tokens_details=details if split else None,
    )


TEN = OutputTokenDetails(text_tokens=10)


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        ({"input": given(), "output": TEN}, Usage(60, 40, output_text=10, total=110)),
        ({"input": given(-1), "output": TEN}, Usage(output_text=10, total=10)),
        ({"input": given(30), "output": TEN}, Usage(output_text=10, total=10)),
        ({"input": given(101), "output": TEN}, Usage(output_text=10, total=10)),
        (
            {"input": given(100), "output": TEN},
            Usage(60, 40, 0, 60, 40, 0, 10, total=110),
        ),
        (
            {"input": given(30, 20), "output": TEN},
            Usage(60, 40, 0, 20, 10, 0, 10, total=110),
        ),
        (
            {"input": given(30, 20, None, 0), "output": TEN},
            Usage(60, 40, 0, 20, 10, 0, 10, total=110),
        ),
        (
            {"input": given(None, 61, 0, 0), "output": TEN},
            Usage(output_text=10, total=10),
        ),
        ({"total": 110, "input": given()}, Usage(60, 40, output_text=10, total=110)),
        ({"total": 10, "output": TEN}, Usage(output_text=10, total=10)),
        ({"total": 12, "input_sum": 5, "output": TEN}, Usage()),
        ({"total": 90, "input": given()}, Usage()),
        ({"input": given(), "input_sum": 99}, Usage()),
    ],
)
def test_what_is_certain_of_a_response(usage: dict[str, Any], known: Usage) -> None:
    """Each side adds up; a cached split is certain if no other one is possible."""
    wire = ResponseUsage(
        total_tokens=usage.get("total"),
        input_tokens=usage.get("input_sum"),
        input_token_details=usage.get("input"),
        output_token_details=usage.get("output"),
    )
    assert resolve(wire, ("text",))[1].tokens == known


PARTS = ("text_tokens", "audio_tokens")


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("told", [("text_tokens",), ("audio_tokens",), PARTS])
@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("sums", [(), ("total_tokens",), ("sum",)])
def test_parts_without_a_sum(
    side: str, told: tuple[str, ...], count: int, sums: tuple[str, ...]
) -> None:
    """Text or audio that is left out is 0 only if a sum or the total says so."""
    other = "output" if side == "input" else "input"
    known = {f"{other}_tokens": 5, f"{other}_token_details": {"text_tokens": 5}}
    total = count * len(told)
    fields = {"sum": {f"{side}_tokens": total}, "total_tokens": {}}
    usage = {**known, f"{side}_token_details": dict.fromkeys(told, count)}
    for each in sums:
        usage |= fields[each] or {each: total + 5}
    session = fold_frames(done("r", usage))
    found = session.responses.by_id["r"].usage

    assert found is not None
    assert found.complete == bool(sums or told == PARTS)
    assert found.tokens.total == 5 + (total if found.complete else 0)


@pytest.mark.parametrize(
    ("output", "complete"),
    [
        ([], True),
        ([{"id": "a", "type": "message", "role": "assistant"}], False),
        ([{"id": "f", "type": "function_call", "call_id": "c", "name": "w"}], False),
    ],
)
def test_an_output_without_tokens(output: list[Frame], complete: bool) -> None:
    """No tokens are certain only if the response has no output."""
    parts = {"text_tokens": 0, "audio_tokens": 0}
    usage = {
        **dict.fromkeys(("total_tokens", "input_tokens", "output_tokens"), 0),
        "input_token_details": parts,
        "output_token_details": parts,
    }
    frame = done("r", usage)
    frame["response"]["output"] = output
    session = fold_frames(frame)

    assert session.responses.by_id["r"].usage == KnownUsage(Usage(), complete)
    assert session.usage.incomplete == (not complete)


def test_usage_that_is_reported_again() -> None:
    """The same changes nothing; of other usage, what both contain is certain."""
    one, other = done("r", USED), done("r", {**USED, "total_tokens": 21})
    once, twice = fold_frames(one), fold_frames(one, one)
    assert (twice.usage, twice.responses) == (once.usage, once.responses)

    for frames in ([one, other], [other, one]):
        session = fold_frames(*frames)
        assert session.usage.incomplete == 1
        assert dict(session.usage.known) == {"": Usage()}
