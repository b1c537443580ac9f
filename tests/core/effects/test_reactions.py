"""`react`: the records that cause commands, and requested events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from duologue.core import State, encode, react, reduce
from duologue.core.effects import commands
from duologue.core.effects.commands import Send, WakeAt
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT
from duologue.core.testing.stream import Stream

from ..strategies import hostile
from ..talk import POLICY, Frame, Service, to_record
from .live import CREATE, REQUEST, Live, begun
from .test_barge_in import STARTED, reaction, spoken


@pytest.mark.parametrize("dir", ["out", "local"])
def test_only_received_events_count(dir: Any) -> None:
    """Only a received event causes a command."""
    state, _ = spoken(420)

    assert reaction(state, STARTED, dir=dir) == ()


def test_a_duplicate_is_ignored() -> None:
    """A duplicate causes no second command."""
    state, _ = spoken(420)

    assert reaction(reduce(state, to_record(STARTED)), STARTED) == ()


def test_other_events() -> None:
    """Other events, a forgotten session and an unknown one cause no command."""
    state, _ = spoken(420)

    assert reaction(state, {"type": "error", "error": {}}) == ()
    assert reaction(state, {"type": "duologue.forgotten"}) == ()
    assert reaction(State(), STARTED) == ()


def test_a_request_is_sent_at_once_if_the_service_is_free() -> None:
    """Without an active response, a request is sent at once, with its options."""
    live, _ = begun()
    event = {"type": "response.create", "response": {"instructions": "be kind"}}
    assert live.note({"type": "duologue.requested", "event": event}) == CREATE
    (command,) = live.commands

    assert (
        Send(
            "s",
            msgspec.structs.replace(
                commands.create_response(instructions="be kind"), event_id="s.2.0"
            ),
        )
        == command
    )


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({"type": "response.cancel"}, ("response.cancel",)),
        ({"type": "response.create", "response": {"conversation": "none"}}, CREATE),
        ({"type": "session.update", "session": {"type": "realtime"}}, None),
        ({"type": "session.created", "session": {"type": "realtime"}}, ()),
        ({"type": "new"}, ()),
        ({}, ()),
    ],
)
def test_other_events_are_sent_at_once(event: Frame, sent: Any) -> None:
    """Other client events are sent during a response; server events are not sent."""
    live, service = begun()
    service.begin()
    live.play(service)
    request: Frame = {"type": "duologue.requested", "event": event}

    assert ((event.get("type"),) if sent is None else sent) == live.note(request)
    assert Live().note(request) == ()


def test_a_request_before_the_connection() -> None:
    """A request is sent once connected; the configuration is part of connecting."""
    live, service = Live(), Service()
    config: Frame = {"type": "session.update", "session": {"type": "realtime"}}
    facts: list[Frame] = [
        {"type": "duologue.connecting"},
        {"type": "duologue.requested", "event": config},
        REQUEST,
        {"type": "duologue.connected"},
    ]
    assert [live.note(fact) for fact in facts] == [()] * 4
    service.created()

    assert live.play(service) == CREATE
    service.created()
    assert live.play(service) == ()


@given(hostile())
def test_no_stream_makes_react_raise(stream: Stream) -> None:
    """After any record, every command can be encoded."""
    state = State()
    for record in stream:
        before, state = state, reduce(state, record)
        for command in react(before, record, state):
            assert not isinstance(command, Send) or encode(command.event)


def wakes(live: Live, frame: Frame, at: float) -> list[WakeAt]:
    """The ticks that a record at this time requests."""
    live.at = at - 0.1
    live.commands.clear()
    live.note(frame)
    return [each for each in live.commands if isinstance(each, WakeAt)]


def test_when_a_live_session_needs_a_tick() -> None:
    """It is requested once, again if it came too early, and withdrawn."""
    live, tick = Live(), {"type": "duologue.tick"}
    live.note({"type": "duologue.connecting", "policy": POLICY})
    live.note({"type": "duologue.connected"})
    live.note({"type": "session.created", "session": {"type": "realtime"}})
    at = 2000.0 + REQUEST_TIMEOUT

    assert wakes(live, REQUEST, 2000.0) == [WakeAt("s", at)]
    assert wakes(live, {"type": "rate_limits.updated", "rate_limits": []}, 2001.0) == []
    assert wakes(live, {"type": "duologue.muted", "muted": True}, 2002.0) == []
    assert wakes(live, tick, at - 1) == [WakeAt("s", at)]
    assert wakes(live, tick, at) == [WakeAt("s", None)]


def test_a_session_without_a_policy_needs_no_tick() -> None:
    """Its application asks `tick_at`."""
    live, _ = begun()

    assert wakes(live, REQUEST, 2000.0) == []
