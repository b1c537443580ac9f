"""Ten minutes over WebRTC with a fault each minute: one transcript."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from duologue.core import (
    SessionConfig,
    dump,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import Client, Credentials, read_log_file, record, webrtc

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

#: Seconds.
DURATION, PAUSE = 600.0, 5.0
TYPED = SessionConfig(output_modalities=("text",))


async def test_a_fault_each_minute(tmp_path: Path) -> None:
    """Each connection is cut after a minute: every text has one line, in order."""
    path = tmp_path / "log.jsonl"
    cut = Faults((Fault(does=Cut(), at=60.0),))
    loop = asyncio.get_running_loop()
    ends = loop.time() + DURATION
    texts: list[str] = []
    service = LocalService(parts=Parts(), options=Options(pace=20.0), faults=cut)
    async with (
        service,
        Client(credentials=Credentials("x"), base_url=service.base_url) as client,
    ):
        session = await client.start_session(TYPED, transport=record(webrtc(), path))
        while loop.time() < ends:
            texts.append(f"count to {len(texts)}")
            await session.send_text(texts[-1])
            await asyncio.sleep(PAUSE)
        state = await session.until(select_is_settled, timeout=60)
        problems = {problem.kind for problem in select_problems(state)}
        live = dump(client.store.state)
        with contextlib.suppress(KeyError):
            await session.close()
    lines = [line.text for line in select_transcripts(state) if line.role == "user"]
    assert lines == texts
    assert state.connection.epoch >= 8
    assert problems == {"disconnected"}
    records = list(read_log_file(path))
    closing = next(
        n for n, each in enumerate(records) if each.event.type == "duologue.closing"
    )
    assert dump(fold(records[:closing])) == live
