"""Recordings of the real service, replayed here: the same event types in order.

An engine on fake time gets the client's frames of a recording, each after all events
that preceded it there. The reply model gives the recorded responses; sound
of the same length replaces audio that was removed from the recording.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from duologue.local.interfaces import Call, Say

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

FOLDER = Path(__file__).parents[3] / "shared/recordings"
#: Recordings of other services, and one composed by hand.
OTHERS = ("xai", "azure-voice-live", "made")
RECORDINGS = [
    path for path in sorted(FOLDER.glob("*.jsonl")) if not path.stem.startswith(OTHERS)
]

#: Differences and reasons; "more" is sent only here, "less" only by the real service.
#: `docs/sessions.md` has the same list.
DIFFERENCES = {
    ("more", "session.created"): "a sideband gets none; here it is a session's own",
    ("more", "rate_limits.updated"): (
        "some recorded responses have none, and some recordings end with "
        "response.done; here each response has one"
    ),
}

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="needs ../shared")
each_recording = pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)


def is_delta(kind: str) -> bool:
    """Whether the number of these events varies."""
    return kind.endswith(".delta")


class Replayed:
    """Replays the client's frames of a recording to an engine."""

    def __init__(self, lines: list[dict[str, Any]], desk: Bench) -> None:
        self.desk = desk
        self._replies = self._recorded_replies(lines)
        self._seen: Counter[str] = Counter()
        self._heard_ms = 0
        for number, line in enumerate(lines):
            event = line.get("event", {})
            if line.get("dir") == "in":
                self._wait_for(event["type"])
            elif event.get("type") == "input_audio_buffer.append":
                following = lines[number + 1]
                if following.get("dir") == "in":
                    self._speak(lines[number + 1 :])
            elif event:
                self._expect_reply(event["type"] == "response.create")
                desk.raw(json.dumps(event))
        desk.run(5)

    def _recorded_replies(
        self, lines: list[dict[str, Any]]
    ) -> Iterator[tuple[Say | Call, ...]]:
        for line in lines:
            event = line.get("event", {})
            if line.get("dir") == "in" and event["type"] == "response.done":
                yield tuple(map(thought_of, event["response"]["output"]))

    def _expect_reply(self, wanted: bool) -> None:
        if wanted:
            self.desk.thoughts = next(self._replies)

    def _wait_for(self, kind: str) -> None:
        """Run until the client has received the same events, except deltas."""
        if is_delta(kind):
            return
        self._seen[kind] += 1
        for _ in range(500):
            if self.desk.types.count(kind) >= self._seen[kind]:
                return
            self.desk.run(0.02)

    def _speak(self, after: list[dict[str, Any]]) -> None:
        """Speak the next turn of the recording."""
        ins = [line["event"] for line in after if line.get("dir") == "in"]
        times = {
            event["type"]: event.get("audio_start_ms", event.get("audio_end_ms"))
            for event in reversed(ins)
        }
        self.desk.words = next(
            event["transcript"]
            for event in ins
            if event["type"].endswith("input_audio_transcription.completed")
        )
        self._expect_reply(wanted=True)
        start = times["input_audio_buffer.speech_started"]
        end = times["input_audio_buffer.speech_stopped"]
        self.desk.hear(start - self._heard_ms)
        self.desk.hear(end - start - 500, loud=True)
        self.desk.hear(1000)
        self._heard_ms = end + 500


def thought_of(item: dict[str, Any]) -> Say | Call:
    if item["type"] == "function_call":
        return Call(item["name"], item["arguments"], item["call_id"])
    words = (part.get("text") or part.get("transcript") for part in item["content"])
    return Say(" ".join(word for word in words if word))


@pytest.fixture
def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def recorded(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"]["type"] for line in lines if line.get("dir") == "in"]


@each_recording
def test_the_types_come_in_the_recorded_order(
    lines: list[dict[str, Any]], recorded: list[str], bench: Make
) -> None:
    """Except for the differences in the table."""
    made = Replayed(lines, bench(transcribe=False)).desk.types
    theirs, ours = (
        [kind for kind in types if not is_delta(kind)] for types in (recorded, made)
    )
    found = [
        ({"+": "more", "-": "less"}[line[0]], line[2:])
        for line in difflib.ndiff(theirs, ours)
        if line[0] in "+-"
    ]
    assert set(found) <= set(DIFFERENCES), found


@each_recording
def test_the_same_kinds_of_deltas_come(
    lines: list[dict[str, Any]], recorded: list[str], bench: Make
) -> None:
    """Their number may differ."""
    made = Replayed(lines, bench(transcribe=False)).desk.types
    assert set(filter(is_delta, made)) >= set(filter(is_delta, recorded))
