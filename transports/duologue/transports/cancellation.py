"""Cancellation of asyncio tasks."""

from __future__ import annotations

import asyncio

__all__ = ["is_cancelling"]


def is_cancelling() -> bool:
    """Whether the running task itself is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
