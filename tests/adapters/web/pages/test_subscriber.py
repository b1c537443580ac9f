"""A page ends with the current view, however slowly it reads or reconnects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from duologue.adapters.web.pages import subscriber as module
from duologue.adapters.web.pages.subscriber import Subscriber
from duologue.adapters.web.sessions.limits import Limits
from duologue.adapters.web.sessions.registry import Caller, Registry
from duologue.core import Record, SessionConfig, apply, events, view
from duologue.core.testing import hostile, records
from duologue.transports import Credentials

#: Steps of a page between two records: read, do nothing, reconnect, start again.
STEPS = st.sampled_from(["read", "read", "nothing", "nothing", "cut", "anew"])


@attrs.define
class Reader:
    """A page, with the view that its messages give."""

    subscriber: Subscriber
    view: dict[str, Any] | None = None
    seq: int = 0

    async def read(self) -> None:
        """Read all queued messages."""
        while self.subscriber._queue or self.subscriber._stale:
            found = json.loads(await self.subscriber.next_batch())
            for message in found if isinstance(found, list) else [found]:
                if message.get("type") == "view":
                    self.view, self.seq = message["view"], message["seq"]
                elif "p" in message:
                    assert message["n"] > self.seq
                    self.view = apply(self.view, message["p"])
                    self.seq = message["n"]


@given(
    stream=hostile(records()),
    steps=st.lists(STEPS, min_size=1, max_size=30),
    limit=st.sampled_from([200, 2_000, 100_000]),
    kept=st.sampled_from([500, 100_000]),
)
def test_a_page_ends_with_the_current_view(
    stream: list[Record], steps: list[str], limit: int, kept: int
) -> None:
    # A forgotten session publishes nothing more.
    assume(not any(isinstance(each.event, events.Forgotten) for each in stream))
    asyncio.run(follow(stream, steps, limit, kept))


async def follow(stream: list[Record], steps: list[str], limit: int, kept: int) -> None:
    registry = Registry(
        base_url="http://127.0.0.1:9/v1",
        credentials=Credentials("any"),
        config=SessionConfig(),
        models=(),
        tools=(),
        limits=Limits(),
    )
    before, module._KEPT = module._KEPT, kept
    try:
        web_session = registry.create(Caller("me", "127.0.0.1"), session={}, title=None)
        reader = Reader(Subscriber(lambda: "{}", limit=limit))
        reader.subscriber.watch(web_session.topic)
        for number, record in enumerate(stream):
            registry.client.store.feed(
                web_session.id,
                record.frame,
                at=record.at,
                dir=record.dir,
                epoch=record.epoch,
            )
            step = steps[number % len(steps)]
            if step == "read":
                await reader.read()
            elif step != "nothing":
                # Reconnect, with the last record or without one.
                reader.subscriber.leave()
                since = reader.seq if step == "cut" and reader.view else None
                reader.subscriber = Subscriber(lambda: "{}", limit=limit)
                reader.subscriber.watch(web_session.topic, since)
            assert reader.subscriber._size <= limit
        await reader.read()
        assert reader.view == view(web_session.state)
    finally:
        module._KEPT = before
        await registry.aclose()
