"""Whatever a page watches, misses and reads late, it ends with the view that is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from duologue.adapters.web.pages.subscriber import Watcher
from duologue.adapters.web.sessions import web_session as module
from duologue.adapters.web.sessions.history import History
from duologue.adapters.web.sessions.limits import Limits
from duologue.adapters.web.sessions.registry import Caller, Hub
from duologue.core import Record, SessionConfig, apply, events, fold, read_log, view
from duologue.core.testing import hostile, records
from duologue.transports import Credentials

#: What happens to a page between two records: it reads, reads nothing, comes anew.
STEPS = st.sampled_from(["read", "read", "nothing", "nothing", "cut", "anew"])


@attrs.define
class Reader:
    """A page: the view that it has, by what it was told."""

    watcher: Watcher
    view: dict[str, Any] | None = None
    seq: int = 0

    async def read(self) -> None:
        """All that waits for it."""
        while self.watcher._waiting or self.watcher._due:
            found = json.loads(await self.watcher.take())
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
def test_a_page_ends_with_the_view_that_is(
    stream: list[Record], steps: list[str], limit: int, kept: int
) -> None:
    # A session that is forgotten is gone for its pages: nothing follows.
    assume(not any(isinstance(each.event, events.Forgotten) for each in stream))
    asyncio.run(follow(stream, steps, limit, kept))


async def follow(stream: list[Record], steps: list[str], limit: int, kept: int) -> None:
    hub = Hub(
        base_url="http://127.0.0.1:9/v1",
        credentials=Credentials("any"),
        config=SessionConfig(),
        models=(),
        tools=(),
        limits=Limits(),
    )
    before, module._KEPT = module._KEPT, kept
    try:
        room = hub.create(Caller("me", "127.0.0.1"), session={}, title=None)
        reader = Reader(Watcher(lambda: "{}", limit=limit))
        reader.watcher.watch(room)
        for number, record in enumerate(stream):
            hub.client.store.feed(
                room.id,
                record.frame,
                at=record.at,
                dir=record.dir,
                epoch=record.epoch,
            )
            step = steps[number % len(steps)]
            if step == "read":
                await reader.read()
            elif step != "nothing":
                # It comes again, with what it had read or with nothing.
                reader.watcher.leave()
                since = reader.seq if step == "cut" and reader.view else None
                reader.watcher = Watcher(lambda: "{}", limit=limit)
                reader.watcher.watch(room, since)
            assert reader.watcher._size <= limit
        await reader.read()
        assert reader.view == view(room.session)
    finally:
        module._KEPT = before
        await hub.aclose()


@given(stream=hostile(records()), data=st.data())
def test_any_moment_is_the_fold_up_to_it(
    stream: list[Record], data: st.DataObject
) -> None:
    """Folded from the lines and from a state on the way, in any order of asking."""
    name = stream[0].session
    own = [record for record in stream if record.session == name]
    history = History(name, records=40, size=1 << 24)
    for seq, record in enumerate(own, start=1):
        history.append(
            Record.of(
                record.frame,
                seq=seq,
                session=name,
                dir=record.dir,
                at=record.at,
                epoch=record.epoch,
            )
        )
    kept = list(read_log(entry.line for entry in history.entries()))
    asked = data.draw(st.lists(st.integers(0, len(own) + 1), min_size=1, max_size=6))
    for seq in asked:
        moment = history.at(seq)
        if not history.first - 1 <= seq <= history.last:
            assert moment is None
            continue
        assert moment is not None
        start = history._segments[0].before
        behind = [record for record in kept if record.seq <= seq]
        session = fold(behind, start).sessions.get(name)
        assert session is None or moment.view == view(session)
