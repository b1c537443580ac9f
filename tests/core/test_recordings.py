"""Recorded traffic of the real service, if it is available.

The expected state is computed from the final events of the stream, not by the core.
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
    select_answers,
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
    """Every event is in the catalogue, except those of other dialects."""
    dedup = folded(path).dedup

    assert (dedup.malformed, dedup.late) == (0, 0)
    assert dedup.unknown == 0 or path.stem.startswith(DIALECTS)


def said(events: list[Any]) -> dict[tuple[str, int], str]:
    """The final text of every item and part in the stream."""
    found: dict[tuple[str, int], str] = {}
    for event in events:
        if event["type"] in FINAL:
            place = (event["item_id"], event.get("content_index", 0))
            found[place] = event[FINAL[event["type"]]] or ""
        for item in shown(event):
            for index, part in enumerate(item.get("content") or ()):
                text = part.get("text") or part.get("transcript")
                if text is not None:
                    found.setdefault((item["id"], index), text)
    return found


def shown(event: Any) -> list[Any]:
    """The items that an event holds as a whole."""
    if event["type"] in (*ADDED, "conversation.item.done", "response.output_item.done"):
        return [event["item"]]
    if event["type"] == "response.done":
        return [*(event["response"].get("output") or ())]
    return []


def gone(events: list[Any]) -> set[str]:
    """Items that were deleted, or whose text the service withdrew."""
    taken = ("conversation.item.deleted", "conversation.item.truncated")
    return {event["item_id"] for event in events if event["type"] in taken}


@every
def test_texts(path: Path) -> None:
    """Items and parts have the final text of the stream."""
    session = folded(path)
    events = received(path)
    wanted = {
        at: text for at, text in said(events).items() if at[0] not in gone(events)
    }

    assert wanted == {
        (item_id, index): str(session.items[item_id].parts[index].text)
        for item_id, index in wanted
    }


@every
def test_calls(path: Path) -> None:
    """Completed calls have the arguments and outputs of the stream."""
    session = folded(path)
    items = {item["id"]: item for e in received(path) for item in shown(e)}
    calls = [i for i in items.values() if str(i["type"]).startswith("function_call")]
    for item in calls:
        call = session.items[item["id"]].call
        assert call is not None
        assert item["call_id"] == call.call_id
        if item["type"] == "function_call":
            assert item["arguments"] == str(call.arguments)
        else:
            assert item["output"] == call.output


@every
def test_lines_are_final(path: Path) -> None:
    """Lines with text are final, except those of unfinished responses."""
    session = folded(path)
    events = received(path)
    begun = {e["response"]["id"] for e in events if e["type"] == "response.created"}
    ended = {e["response"]["id"] for e in events if e["type"] == "response.done"}
    for line in select_transcripts(session):
        response_id = session.items[line.item_id].placement.response_id
        if line.text and response_id not in begun - ended:
            assert line.final, line


@every
def test_the_order_of_items(path: Path) -> None:
    """Every item follows the predecessor in its first ``added`` event.

    Only items with the same predecessor, directly or not, may be between them.
    """
    session = folded(path)
    order = list(session.conversation.order)
    links: dict[str, str | None] = {}
    for event in received(path):
        if event["type"] in ADDED and "previous_item_id" in event:
            links.setdefault(event["item"]["id"], event["previous_item_id"])
    for item_id, previous in links.items():
        if previous is not None and previous in session.items:
            between = order[order.index(previous) + 1 : order.index(item_id)]
            assert order.index(previous) < order.index(item_id)
            assert all(ancestor(links, other, previous) for other in between)


def ancestor(links: dict[str, str | None], item_id: str, previous: str) -> bool:
    """Whether the position of an item depends on another, by their predecessors."""
    seen: set[str] = set()
    at: str | None = item_id
    while at is not None and at != previous and at not in seen:
        seen.add(at)
        at = links.get(at)
    return at == previous


@every
def test_responses(path: Path) -> None:
    """Responses have the status of their ``done``, and none of those is active."""
    session = folded(path)
    events = received(path)
    begun = {e["response"]["id"] for e in events if e["type"] == "response.created"}
    done = {
        e["response"]["id"]: e["response"]["status"]
        for e in events
        if e["type"] == "response.done"
    }
    found = {r.id: r.status for r in session.responses.by_id.values()}

    assert done == {key: status for key, status in found.items() if key in done}
    assert set(found) == begun | set(done)
    assert session.responses.active in {None, *(begun - set(done))}


@every
def test_the_log_folds_to_the_same_state(path: Path) -> None:
    """A log without audio folds to the same dump."""
    found = records(path)
    again = list(read_log(to_line(record) for record in found))

    assert dump(fold(found)) == dump(fold(again))


def answered(events: list[Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    """The inputs directly before the first output of each response, by their links."""
    items: dict[str, Any] = {}
    before: dict[str, str | None] = {}
    found = []
    for event in events:
        if event["type"] in ADDED:
            item_id = event["item"]["id"]
            items[item_id] = event["item"]
            before[item_id] = event.get("previous_item_id")
        if event["type"] != "response.done":
            continue
        inputs: list[str] = []
        kinds: list[str] = []
        last = before[event["response"]["output"][0]["id"]]
        while last in items and kind_of(items[last]) is not None:
            inputs.insert(0, last)
            kinds.append(str(kind_of(items[last])))
            last = before[last]
        kind = kinds[0] if kinds else "unknown"
        found.append((event["response"]["id"], kind, tuple(inputs)))
    return found


def kind_of(item: Any) -> str | None:
    if item["type"] == "function_call_output":
        return "tool_output"
    if item.get("role") != "user":
        return None
    is_spoken = any(part["type"] == "input_audio" for part in item["content"])
    return "spoken" if is_spoken else "typed"


@every
def test_each_response_answers_the_inputs_before_it(path: Path) -> None:
    """The recorded responses follow their inputs directly."""
    found = [
        (one.response_id, one.kind, one.item_ids)
        for one in select_answers(folded(path))
    ]

    assert found == answered(received(path))
