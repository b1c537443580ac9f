"""What the drivers ask of asyncio's tasks."""

from __future__ import annotations

import asyncio

__all__ = ["cancelling"]


def cancelling() -> bool:
    """Whether the running task itself was told to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
