"""The totals of a session."""

from __future__ import annotations

from duologue.core import (
    select_problems,
    select_rate_limits,
    select_transcription_usage,
    select_usage,
)

from ..talk import Service, fold_frames


def test_what_adds_up() -> None:
    """Tokens, problems, rate limits and transcription usage have selectors."""
    service = Service()
    service.reply("hello")
    service.send("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 5}])
    service.send("error", error={"message": "m"})
    name = "conversation.item.input_audio_transcription.completed"
    seconds = {"type": "duration", "seconds": 2.0}
    at = {"item_id": "i", "content_index": 0}
    service.send(name, transcript="", usage=seconds, **at)
    session = fold_frames(*service.frames)

    assert (
        select_usage(session).total,
        [problem.message for problem in select_problems(session)],
        [limit.name for limit in select_rate_limits(session)],
        select_transcription_usage(session).seconds,
    ) == (3, ["m"], ["tokens"], 2.0)
