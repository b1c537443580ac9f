"""Commands of a page are decoded strictly."""

from __future__ import annotations

from typing import Any

from ..conftest import Page


async def test_an_invalid_command_is_refused(page: Page) -> None:
    session = (await page.create())["id"]
    commands: list[Any] = [
        {"type": "text", "text": ""},
        {"type": "text", "text": "x" * 20_000},
        {"type": "text", "text": "x", "more": 1},
        {"type": "volume", "level": 2},
        {"type": "volume", "level": "x"},
        {"type": "mute"},
        {"type": "nothing"},
        {},
    ]
    for command in commands:
        path = f"api/sessions/{session}/commands"
        answer = await page.http.post(path, json=command)
        assert answer.status_code == 422, command
