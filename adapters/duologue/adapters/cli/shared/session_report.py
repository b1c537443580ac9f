"""The state at the end of a command, as text or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from duologue.core import (
    Reconnection,
    Session,
    State,
    Transcript,
    events,
    select_answers,
    select_cost,
    select_metadata,
    select_pending_calls,
    select_problems,
    select_reconnections,
    select_transcripts,
    select_turns,
    select_usage,
    summary,
)

from .control_characters import json_line, single_line

__all__ = [
    "model_name",
    "print_json",
    "print_summary",
    "reconnection_text",
    "speaker",
    "usage_text",
    "words_of",
]


def print_json(state: State, **more: Any) -> None:
    """Print one line of JSON: ``{"sessions": […], …}``, in UTF-8 in every locale."""
    sessions = [summary(session) for session in _in_order(state)]
    sys.stdout.flush()
    sys.stdout.buffer.write(json_line({"sessions": sessions, **more}).encode())
    sys.stdout.buffer.flush()


def _in_order(state: State) -> list[Session]:
    """The sessions sorted by id: the order of a map is not stable."""
    return [state.sessions[session_id] for session_id in sorted(state.sessions)]


def model_name(session: Session) -> str | None:
    """The model that the service has confirmed."""
    confirmed = session.connection.confirmed
    if not isinstance(confirmed, events.RealtimeSessionConfig):
        return None
    return confirmed.model if isinstance(confirmed.model, str) else None


def speaker(session: Session, line: Transcript) -> str:
    """The speaker of a line, with the service's note on a scripted reply."""
    if line.role == "user":
        return "you"
    note = select_metadata(session, line.item_id).get("duologue")
    return f"assistant ({single_line(note)})" if note else "assistant"


def print_summary(
    console: Console,
    state: State,
    connect_ms: float | None = None,
    *,
    counts: bool = False,
) -> None:
    """Print transcript, latencies, pending calls, reconnects and problems.

    With ``counts`` also print usage and the number of ignored events.
    """
    for session in _in_order(state):
        status = session.connection.status
        name = escape(single_line(session.id))
        console.print(f"\n[bold]session {name}[/] ({status})")
        for line in select_transcripts(session):
            text = Text(f"  {speaker(session, line)}: ", style="bold")
            console.print(text.append_text(words_of(line)))
        for latency in _latencies(session):
            console.print(f"  {latency}")
        for call in select_pending_calls(session):
            name, call_id = single_line(call.name), single_line(call.call_id or "no id")
            console.print(f"  call without output: {escape(f'{name} ({call_id})')}")
        for made in select_reconnections(session):
            console.print(f"  {escape(reconnection_text(made))}")
        for problem in select_problems(session):
            code = f" ({problem.code})" if problem.code else ""
            message = escape(single_line(problem.message + code))
            console.print(f"  [red]problem:[/] {message}")
        if counts:
            _print_counts(console, session)
    if connect_ms is not None:
        console.print(f"  connected in {connect_ms:.0f} ms")


#: By the kind of an `Answer`, the beginning of its latency.
_STARTS = {
    "spoken": "the end of speech",
    "typed": "the message",
    "tool_output": "the last output",
}


def _latencies(session: Session) -> Iterator[str]:
    kinds = {answer.response_id: answer.kind for answer in select_answers(session)}
    for number, turn in enumerate(select_turns(session), start=1):
        start = _STARTS.get(kinds.get(turn.response_id, ""), "the request")
        if turn.first_audio_ms is not None:
            yield (
                f"turn {number}: {turn.first_audio_ms:.0f} ms "
                f"from {start} to the first audio"
            )
        if turn.barge_in_ms is not None:
            yield (
                f"turn {number}: {turn.barge_in_ms:.0f} ms from the "
                "interruption to silence"
            )


def _print_counts(console: Console, session: Session) -> None:
    """Print usage and ignored events, unless there are none."""
    dedup = session.dedup
    if used := usage_text(session):
        console.print(f"  {escape(used)}")
    counted = {
        "malformed": dedup.malformed,
        "of an unknown type": dedup.unknown,
        "duplicate": dedup.duplicate,
        "too late": dedup.late,
    }
    ignored = ", ".join(f"{number} {why}" for why, number in counted.items() if number)
    if ignored:
        console.print(f"  of {dedup.events} events: {ignored}")


def reconnection_text(made: Reconnection) -> str:
    """Why a session was connected again, in one line."""
    text = f"reconnected (attempt {made.attempt})"
    if made.hand_over:
        text = "moved to a new connection"
    return single_line(text if made.reason is None else f"{text}: {made.reason}")


def usage_text(session: Session) -> str:
    """The number of tokens, and their cost if it is known; empty without usage."""
    usage, cost = select_usage(session), select_cost(session)
    if not usage.total:
        return ""
    if cost is None:
        price = ", at an unknown cost"
    else:
        least = "at least " if cost.is_partial else ""
        price = f", {least}{cost.usd:.4f} USD by {single_line(cost.model)}"
    tokens = f"{'at least ' if session.usage.incomplete else ''}{usage.total} tokens"
    return f"{tokens}{price}"


def words_of(
    line: Transcript, room: int | None = None, *, empty: str = "(spoken, no words)"
) -> Text:
    """The text of a line; the unplayed part of an interrupted one is struck through.

    ``room`` limits it to the last so many characters. ``empty`` is shown for a line
    without text.
    """
    words = line.text
    first = 0 if room is None else max(0, len(words) - room)
    if line.interrupted is None:
        return Text(single_line(words[first:]) or empty, style="not bold")
    # `text` is stripped and `heard` is not. Without `heard` nothing is struck through.
    heard = len(words) if line.heard is None else len(line.heard.lstrip())
    text = Text(single_line(words[first:heard]), style="not bold")
    text.append(" " if text else "")
    text.append(f"[interrupted after {line.interrupted} ms", style="dim")
    if unheard := single_line(words[max(first, heard) :]).strip():
        text.append(", not heard: ", style="dim")
        text.append(unheard, style="strike")
    return text.append("]", style="dim")
