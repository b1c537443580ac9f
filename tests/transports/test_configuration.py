"""The ``session.update`` of a connection."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from duologue.transports.configuration import configuration_update, is_answer


@pytest.mark.parametrize(
    ("session", "sent"),
    [
        ({}, None),
        ({"type": "realtime"}, None),
        ({"type": "realtime", "model": "a-model"}, None),
        ({"model": "a-model", "tools": []}, {"tools": []}),
        (
            {"type": "transcription", "audio": MappingProxyType({"input": {}})},
            {"type": "transcription", "audio": {"input": {}}},
        ),
    ],
)
def test_all_fields_but_the_model(session: Any, sent: Any) -> None:
    """An update cannot set the model; without another field, there is none."""
    update = configuration_update(session)
    event = {"type": "session.update", "event_id": "configuration", "session": sent}
    assert (update and json.loads(update)) == (event if sent else None)


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ('{"type": "session.updated"}', True),
        (b'{"type": "error"}', True),
        ('{"type": "session.created"}', False),
        ('{"delta": "session.updated"}', False),
        ("no JSON", False),
        (b"\xff", False),
        ('"\ud800"', False),
        ("[" * 100_000, False),
    ],
)
def test_the_answer_of_a_service(frame: str | bytes, found: bool) -> None:
    """An invalid frame is none."""
    assert is_answer(frame) is found
