"""One application, unchanged, over every transport and over recordings of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from duologue.core import (
    Session,
    SessionConfig,
    dump,
    fold,
    select_is_settled,
    select_transcripts,
)
from duologue.local import LocalService, in_process
from duologue.transports import (
    Client,
    Credentials,
    EphemeralKeys,
    KeySource,
    Transport,
    read_log_file,
    record,
    replay,
    webrtc,
    websocket,
)
from duologue.transports.drivers.replay.replay_transport import Replay

pytestmark = pytest.mark.realtime

CONFIG = SessionConfig(output_modalities=("text",), instructions="Be brief.")
MAKERS: dict[str, Callable[[], Transport]] = {
    "webrtc": webrtc,
    "websocket": websocket,
    "memory": in_process,
}
KEY = Credentials("made-up")
#: The questions, and the replies of the default scenario.
TALK = [
    ("user", "hello", True),
    ("assistant", "Hello there. It is good to hear you.", True),
    ("user", "count to three", True),
    ("assistant", "One, two, three.", True),
]

Line = tuple[str, str, bool]


def lines(session: Session) -> list[Line]:
    return [(line.role, line.text, line.final) for line in select_transcripts(session)]


def has_turns(number: int, session: Session) -> bool:
    """Whether this many questions have replies and the session is idle."""
    shown = select_transcripts(session)
    return len(shown) == 2 * number and select_is_settled(session)


async def application(client: Client, transport: Transport) -> list[Line]:
    """Two typed turns and an end, over any transport."""
    session = await client.start_session(CONFIG, transport=transport)
    for number, text in enumerate(("hello", "count to three"), start=1):
        await session.send_text(text)
        await session.until(partial(has_turns, number), timeout=30)
    await session.close()
    return lines(session.state)


@pytest.mark.parametrize(
    ("name", "credentials"),
    [*((name, KEY) for name in MAKERS), ("webrtc", EphemeralKeys(credentials=KEY))],
)
async def test_the_transport_is_all_that_changes(
    service: LocalService, tmp_path: Path, name: str, credentials: KeySource
) -> None:
    """The text is the same live and replayed, and so are frames and times."""
    path = tmp_path / f"{name}.jsonl"
    async with Client(credentials=credentials, base_url=service.base_url) as client:
        live = await application(client, record(MAKERS[name](), path))
    assert live == TALK

    async with Client(credentials=Credentials("other")) as client:
        recorded: Replay = replay(path)
        assert await application(client, recorded) == TALK
        recorded.check()
        assert dump(client.store.state) == dump(fold(read_log_file(path)))
