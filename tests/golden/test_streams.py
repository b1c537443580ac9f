"""Every stream and every old snapshot gives the golden results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from duologue.core import State, dump, fold, load

from . import streams
from .differences import NEW_FIELDS, STATES, STREAMS
from .observing import comparable, joined, observe, session_view
from .store import compact, first_difference

GROUPS = streams.groups(streams.streams())
each_group = pytest.mark.parametrize("group", GROUPS)


@each_group
def test_a_snapshot_of_version_1_is_the_state_that_its_stream_folds_to(
    group: str,
) -> None:
    """A loaded snapshot dumps like the folded stream, without newer fields."""
    wrong = [
        name
        for name in GROUPS[group]
        if name not in {**STREAMS, **STATES}
        and _dumped(load(streams.snapshots()[name].encode()))
        != _dumped(fold(streams.records(name)))
    ]
    assert wrong == []


def _dumped(state: State) -> Any:
    """A dump without the fields that version 1 did not have."""
    document = json.loads(dump(state))
    for session in document["state"]["sessions"].values():
        for name in NEW_FIELDS:
            _remove(session, name.split("."))
        # A call that is only sent has a link now, for the fact that it was sent.
        calls = session["conversation"]["calls"]
        kept = {name: link for name, link in calls.items() if any(link.values())}
        session["conversation"]["calls"] = kept
    return document


def _remove(node: Any, path: list[str]) -> None:
    """Remove the field at a path; ``*`` is every key."""
    name, *rest = path
    if not rest:
        del node[name]
        return
    children = node.values() if isinstance(node, dict) else node
    for child in children if name == "*" else [node[name]]:
        if child is not None:
            _remove(child, rest)


@each_group
def test_what_can_be_seen_of_a_stream_stays(group: str) -> None:
    """Commands, patches, and the view, summary and selectors of each session."""
    wrong = {}
    for name in GROUPS[group]:
        _, seen = observe(streams.records(name))
        golden = streams.observed()[name]
        said = first_difference(comparable(golden), comparable(seen))
        if said is not None:
            wrong[name] = said
    assert wrong.keys() == STREAMS.keys() & {*GROUPS[group]}, wrong


@each_group
def test_what_can_be_seen_of_a_snapshot_of_version_1_stays(group: str) -> None:
    """Selectors and view give the golden results of the stream, with texts joined."""
    wrong = {}
    for name in GROUPS[group]:
        state = load(streams.snapshots()[name].encode())
        seen = {id: session_view(one) for id, one in sorted(state.sessions.items())}
        wanted = streams.observed()[name]["sessions"]
        # Such a snapshot does not have the inputs from which latencies count.
        wanted, seen = (
            _without_latencies(comparable(joined(one))) for one in (wanted, seen)
        )
        said = first_difference(wanted, seen)
        if said is not None:
            wrong[name] = said
    assert wrong == {}


def _without_latencies(seen: Any) -> Any:
    if isinstance(seen, list):
        return [_without_latencies(one) for one in seen]
    if not isinstance(seen, dict):
        return seen
    latencies = ("first_audio_ms", "first_text_ms")
    return {
        key: _without_latencies(one)
        for key, one in seen.items()
        if key not in latencies
    }


def test_there_is_a_golden_for_every_stream() -> None:
    """No stream is missing, and there is one of each kind."""
    names = {*streams.streams()}
    assert names == {*streams.snapshots()} == {*streams.observed()}
    assert names >= {*streams.REPRESENTATIVE}
    assert {*GROUPS} >= {"testing", "drawn", "hostile", "local", "event"}


def test_the_snapshots_are_of_version_1() -> None:
    """The control: the snapshots are old, not written by the current `dump`."""
    heads = {text.partition(",")[0] for text in streams.snapshots().values()}
    assert heads == {'{"duologue":1'}


def test_the_streams_hold_enough_to_fail() -> None:
    """Commands of several kinds, several sessions, calls, MCP, a translation."""
    seen = streams.observed().values()
    commands = {
        command.get("event", command).get("type", command["class"])
        for one in seen
        for _, command in one["commands"]
    }
    views = [session["view"] for one in seen for session in one["sessions"].values()]
    items = [item for view in views for item in view["items"].values()]

    assert commands >= {"response.create", "conversation.item.truncate", "Reconnect"}
    assert max(len(one["sessions"]) for one in seen) >= 3
    assert {view["kind"] for view in views} == {
        *("realtime", "transcription", "translation")
    }
    assert {item["type"] for item in items} >= {
        *("message", "function_call", "function_call_output", "mcp_call"),
        *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
    }
    assert max(view["epoch"] for view in views) >= 2


_MORE_EVENTS = {
    *("duologue.connecting", "duologue.connect_failed", "duologue.connected"),
    *("duologue.disconnected", "duologue.interrupted", "conversation.item.create"),
}


def test_script_writes_the_stream_that_it_wrote() -> None:
    """`script` and `to_records` give the same frames for the same plan.

    It has more now: facts of a failed attempt to connect and of an interruption, the
    sent items and out-of-band requests, instructions, the modalities of the tokens.
    """
    now, golden = map(
        _events, (streams.everything(), streams.streams()["testing/everything"])
    )
    assert now == golden


def _events(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The events that the older script wrote too; ids have the order of their use."""
    found = [event for event in map(_event, lines) if event["type"] not in _MORE_EVENTS]
    names: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"{match[1]}_{len(names)}")

    text = re.sub(r"\b([a-z]+)_[0-9]+\b", rename, json.dumps(found))
    renamed: list[dict[str, Any]] = json.loads(text)
    return renamed


def _event(line: str) -> dict[str, Any]:
    """The event of a line, without what the older script did not write."""
    event: dict[str, Any] = json.loads(line)["event"]
    match event:
        case {"type": "session.update" | "session.updated", "session": session}:
            session.pop("instructions", None)
        case {"type": "response.done", "response": {"usage": dict() as usage}}:
            for split in ("input_token_details", "output_token_details"):
                usage.pop(split, None)
        case {"type": "response.create", "response": {"conversation": "none"}}:
            return {"type": "conversation.item.create"}
    return event


def test_a_difference_is_told_with_its_place() -> None:
    """The control of the tests above: a difference in JSON is found."""
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) is None
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == (
        "/a/1/b: golden 2, now 3"
    )
    assert first_difference([1], [1, 2]) == "/1: not in the golden, now 2"
    assert first_difference({"a": 1}, {}) == "/a: golden 1, now missing"
    assert first_difference(1, True) == "/: golden 1, now true"
    assert compact(1) != compact(1.0)
