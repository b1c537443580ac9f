"""The guard that validates every frame of the service accepts valid ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from duologue.core.events import ConversationItemDeleted, SessionUpdated
from duologue.local.engine.outbox import Outbox

pytest.importorskip("openai")

if TYPE_CHECKING:
    from tests.conftest import FrameGuard
    from tests.local.conftest import Bench

RIGHT: dict[str, Any] = {
    "type": "response.output_text.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello",
}


def test_a_right_event_passes(frame_guard: FrameGuard) -> None:
    frame_guard.check(json.dumps(RIGHT))
    assert frame_guard.wrong == []


@pytest.mark.parametrize(
    "change",
    [
        {"type": "response.output_speech.delta"},
        {"delta": None},
        {"delta": 3},
        {"output_index": "0"},
        {"content_index": 0.5},
        {"event_id": None},
    ],
)
def test_a_wrong_event_does_not(
    frame_guard: FrameGuard, change: dict[str, Any]
) -> None:
    """It finds a wrong event type, a missing field and a wrong field type."""
    frame_guard.check(json.dumps(RIGHT | change))
    assert len(frame_guard.wrong) == 1
    frame_guard.wrong.clear()
    without = {key: value for key, value in RIGHT.items() if key not in change}
    frame_guard.check(json.dumps({"type": RIGHT["type"], **without}))
    if "type" not in change:
        assert len(frame_guard.wrong) == 1
    frame_guard.wrong.clear()


def test_every_engine_is_behind_it(
    frame_guard: FrameGuard, bench: Callable[..., Bench]
) -> None:
    """Also in a driver that catches exceptions."""
    outbox = Outbox(lambda prefix: f"{prefix}_1")
    outbox.emit(ConversationItemDeleted, item_id=3)
    outbox.take_frames()
    assert len(frame_guard.wrong) == 1
    frame_guard.wrong.clear()
    desk = bench()
    desk.engine.outbox.emit(SessionUpdated, session=None)
    desk.engine.outbox.take_frames()
    assert len(frame_guard.wrong) == 1
    frame_guard.wrong.clear()
