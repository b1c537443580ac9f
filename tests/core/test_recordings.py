"""Recorded traffic of the real service, where it is at hand.

What a stream must fold to is computed from its own final events, not by the core.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from duologue.core import (
    Record,
    Session,
    dump,
    fold,
    read_log,
    select_transcripts,
    to_line,
)

FOLDER = Path(__file__).parents[3] / "shared/recordings"
RECORDINGS = sorted(FOLDER.glob("*.jsonl"))
DIALECTS = ("xai", "azure-voice-live")
FINAL = {
    "conversation.item.input_audio_transcription.completed": "transcript",
    "response.output_audio_transcript.done": "transcript",
    "response.audio_transcript.done": "transcript",
    "response.output_text.done": "text",
    "response.text.done": "text",
}
ADDED = ("conversation.item.added", "conversation.item.created")

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="needs ../shared")
every = pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)


def records(path: Path) -> list[Record]:
    with path.open("rb") as lines:
        return list(read_log(lines, session="s"))


def folded(path: Path) -> Session:
    return fold(records(path)).sessions["s"]


def received(path: Path) -> list[Any]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        line["event"] for line in lines if line.get("dir") == "in" and "event" in line
    ]


@every
def test_nothing_is_malformed_or_unknown(path: Path) -> None:
    """Every event is of the catalogue, the dialects' own aside."""
    tally = folded(path).tally

    assert (tally.malformed, tally.late) == (0, 0)
    assert tally.unknown == 0 or path.stem.startswith(DIALECTS)


@every
def test_texts_are_what_the_stream_says(path: Path) -> None:
    """The final words of every item and part that the stream names."""
    session = folded(path)
    said = [
        (e["item_id"], e["content_index"], e[FINAL[e["type"]]])
        for e in received(path)
        if e["type"] in FINAL
    ]

    assert said == [
        (item_id, index, str(session.items[item_id].parts[index].text))
        for item_id, index, _ in said
    ]
    assert all(line.final for line in select_transcripts(session))


@every
def test_the_order_is_what_the_stream_says(path: Path) -> None:
    """Every item stands directly behind the one that ``added`` names."""
    session = folded(path)
    links = [
        (e["item"]["id"], e["previous_item_id"])
        for e in received(path)
        if e["type"] in ADDED and "previous_item_id" in e
    ]
    known = [(item, previous) for item, previous in links if previous in session.items]

    assert known == [
        (item, session.conversation.order.before(item)) for item, _ in known
    ]


@every
def test_responses_are_what_the_stream_says(path: Path) -> None:
    """Each with the status that it was done with; none is active."""
    session = folded(path)
    done = {
        e["response"]["id"]: e["response"]["status"]
        for e in received(path)
        if e["type"] == "response.done"
    }

    assert done == {r.id: r.status for r in session.responses.by_id.values()}
    assert session.responses.active is None


@every
def test_our_log_of_it_folds_to_the_same(path: Path) -> None:
    """Written in our format, without audio, it is the same state to the byte."""
    found = records(path)
    again = list(read_log(to_line(record) for record in found))

    assert dump(fold(found)) == dump(fold(again))
