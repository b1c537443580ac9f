"""What a command prints at its end: the state, for a person or for a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from duologue.core import (
    Session,
    State,
    Transcript,
    select_cost,
    select_metadata,
    select_pending_calls,
    select_problems,
    select_transcripts,
    select_turns,
    select_usage,
    summary,
)

from .escape import as_line, plain

__all__ = ["clean", "print_json", "print_summary", "speaker", "spent", "spoken"]


def print_json(state: State, **more: Any) -> None:
    """Print one line of JSON, UTF-8 whatever the locale: ``{"sessions": […], …}``.

    The values are as they came. What could command a terminal is escaped, as JSON can.
    """
    sessions = [summary(session) for session in _in_order(state)]
    sys.stdout.flush()
    sys.stdout.buffer.write(as_line({"sessions": sessions, **more}).encode())
    sys.stdout.buffer.flush()


def _in_order(state: State) -> list[Session]:
    """The sessions by their ids: the order of a map is another one each time."""
    return [state.sessions[session_id] for session_id in sorted(state.sessions)]


def clean(text: str) -> str:
    """Text of a model on one line, without what could command a terminal."""
    return plain(text).translate({0x0A: " ", 0x09: " "})


def speaker(session: Session, line: Transcript) -> str:
    """Whose line it is; a scripted reply says so."""
    if line.role == "user":
        return "you"
    note = select_metadata(session, line.item_id).get("duologue")
    return f"assistant ({clean(note)})" if note else "assistant"


def print_summary(
    console: Console,
    state: State,
    connect_ms: float | None = None,
    *,
    counts: bool = False,
) -> None:
    """The transcript in order, the latency of each turn, what is open or went wrong.

    With ``counts`` what was used, and how much of the log said nothing.
    """
    for session in _in_order(state):
        status = session.connection.status
        console.print(f"\n[bold]session {escape(clean(session.id))}[/] ({status})")
        for line in select_transcripts(session):
            console.print(_spoken(session, line))
        for words in _latencies(session):
            console.print(f"  {words}")
        for call in select_pending_calls(session):
            name, call_id = clean(call.name), clean(call.call_id or "no id")
            console.print(f"  call without output: {escape(f'{name} ({call_id})')}")
        for problem in select_problems(session):
            code = f" ({problem.code})" if problem.code else ""
            words = escape(clean(problem.message + code))
            console.print(f"  [red]problem:[/] {words}")
        if counts:
            _print_counts(console, session)
    if connect_ms is not None:
        console.print(f"  connected in {connect_ms:.0f} ms")


def _latencies(session: Session) -> Iterator[str]:
    for number, turn in enumerate(select_turns(session), start=1):
        since = "the end of speech" if turn.item_id else "the request"
        if turn.first_audio_ms is not None:
            yield (
                f"turn {number}: {turn.first_audio_ms:.0f} ms "
                f"from {since} to the first audio"
            )
        if turn.barge_in_ms is not None:
            yield (
                f"turn {number}: {turn.barge_in_ms:.0f} ms from the "
                "interruption to silence"
            )


def _print_counts(console: Console, session: Session) -> None:
    """What was used, and events that say nothing, each where there is any."""
    dedup = session.dedup
    if used := spent(session):
        console.print(f"  {escape(used)}")
    counted = {
        "malformed": dedup.malformed,
        "of an unknown type": dedup.unknown,
        "twice": dedup.duplicate,
        "too late": dedup.late,
    }
    ignored = ", ".join(f"{number} {why}" for why, number in counted.items() if number)
    if ignored:
        console.print(f"  of {dedup.events} events: {ignored}")


def spent(session: Session) -> str:
    """Tokens so far, and what they cost where that is known; empty for none."""
    usage, cost = select_usage(session), select_cost(session)
    if not usage.total:
        return ""
    money = "" if cost is None else f", {cost.usd:.4f} USD by {clean(cost.model)}"
    return f"{usage.total} tokens{money}"


def _spoken(session: Session, line: Transcript) -> Text:
    text = Text(f"  {speaker(session, line)}: ", style="bold")
    return text.append_text(spoken(line))


def spoken(
    line: Transcript, room: int | None = None, *, silent: str = "(spoken, no words)"
) -> Text:
    """The words of a line; those of an interrupted one that were not heard are struck.

    With ``room`` at most the last so many characters; ``silent`` in place of none.
    """
    words = line.text
    first = 0 if room is None else max(0, len(words) - room)
    if line.interrupted is None:
        return Text(clean(words[first:]) or silent, style="not bold")
    # A transcript is trimmed, and so begins with its first word; where nobody knows
    # what was heard, nothing is struck.
    heard = len(words) if line.heard is None else len(line.heard.lstrip())
    text = Text(clean(words[first:heard]), style="not bold")
    text.append(" " if text else "")
    text.append(f"[interrupted after {line.interrupted} ms", style="dim")
    if unheard := clean(words[max(first, heard) :]).strip():
        text.append(", not heard: ", style="dim")
        text.append(unheard, style="strike")
    return text.append("]", style="dim")
