"""The driver for trio and the one for asyncio pass the same tests.

Each runs against the local service over WebSocket, in another thread. A scenario awaits
only methods of a `Talk`, so the same coroutine runs in both event loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pytest
from websockets.frames import OP_CLOSE, OP_TEXT, Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from duologue.core import (
    Connect,
    Record,
    Session,
    SessionConfig,
    fold,
    read_log,
    select_is_settled,
    select_problems,
    select_transcripts,
    to_line,
)
from duologue.core import commands as commands_of
from duologue.core import events as ev
from duologue.core.effects.backoff import Backoff, connect_policy
from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import Client, Credentials, DuologueError, websocket

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")

EXAMPLE = Path(__file__).parents[2] / "examples" / "trio_driver.py"
KEY = "made-up-key"
HELLO = ("hello", "Hello there. It is good to hear you.")
COUNT = ("count to three", "One, two, three.")
POLICY = connect_policy(Backoff(), 10.0)


class Talk(Protocol):
    """One session, run by one of the drivers."""

    records: list[Record]

    @property
    def session(self) -> Session: ...
    async def say(self, text: str) -> None: ...
    async def until(self, predicate: Callable[[Session], bool]) -> Session: ...
    async def close(self) -> None: ...


Scenario = Callable[[Talk], Coroutine[Any, Any, None]]
#: Runs a scenario at a service with this URL and key, and checks that nothing is left.
Run = Callable[[str, str, Scenario], None]


class AsyncioTalk:
    """The driver of `duologue.transports`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.records: list[Record] = []
        client.store.subscribe(lambda before, record, after: self._add(record))

    def _add(self, record: Record) -> None:
        self.records.append(record)

    @property
    def session(self) -> Session:
        return self._client.store.session("call") or Session("call")

    async def start(self) -> None:
        config = SessionConfig(output_modalities=("text",))
        with contextlib.suppress(DuologueError):
            await self._client.start_session(
                config, id="call", transport=websocket, timeout=10
            )

    async def say(self, text: str) -> None:
        await self._client.get_session("call").send_text(text)

    async def until(self, predicate: Callable[[Session], bool]) -> Session:
        session = self._client.get_session("call")
        with contextlib.suppress(DuologueError):
            await session.until(predicate, timeout=20)
        return self.session

    async def close(self) -> None:
        await self._client.get_session("call").close()


def run_asyncio(url: str, key: str, scenario: Scenario) -> None:
    async def main() -> None:
        credentials = Credentials(key)
        async with Client(credentials=credentials, base_url=url) as client:
            talk = AsyncioTalk(client)
            await talk.start()
            await asyncio.wait_for(scenario(talk), 30)
            check_log(talk)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


class TrioTalk:
    """The driver of the example."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.records: list[Record] = []
        driver.machine.store.subscribe(lambda before, record, after: self._add(record))

    def _add(self, record: Record) -> None:
        self.records.append(record)

    @property
    def session(self) -> Session:
        found: Session = self._driver.machine.session
        return found

    async def say(self, text: str) -> None:
        self._driver.request(commands_of.send_text(text))
        self._driver.request(commands_of.create_response())

    async def until(self, predicate: Callable[[Session], bool]) -> Session:
        found: Session = await self._driver.until(predicate)
        return found

    async def close(self) -> None:
        await self._driver.close()


def run_trio(url: str, key: str, scenario: Scenario) -> None:
    make = import_module("trio_driver").TrioDriver
    address = url.replace("http", "ws") + "/realtime?model=gpt-realtime-2.1"

    async def main() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                driver = make(address, key, "call")
                talk = TrioTalk(driver)
                config = SessionConfig(output_modalities=("text",))
                driver.request(commands_of.update_session(config))
                nursery.start_soon(driver.run, POLICY)
                await trio.testing.wait_all_tasks_blocked()
                await talk.until(lambda s: s.connection.status.value == "open")
                await scenario(talk)
                check_log(talk)
        assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main)


def check_log(talk: Talk) -> None:
    """The records, written and read again, give the state of the session."""
    lines = [to_line(record) for record in talk.records]
    folded = fold(read_log(lines))
    assert folded.sessions["call"].connection == talk.session.connection
    assert transcript(folded.sessions["call"]) == transcript(talk.session)


@pytest.fixture(params=[run_asyncio, run_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    found: Run = request.param
    return found


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """``serve(faults=…)``: the URL of a local service in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()

    def wait(work: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), loop).result(timeout=30)

    def start(*faults: Fault, life: float = 3600.0, **options: Any) -> str:
        service = LocalService(
            options=Options(pace=50.0, life=life),
            parts=Parts(),
            faults=Faults(faults),
            **options,
        )
        wait(stack.enter_async_context(service))
        return service.base_url

    yield start
    wait(stack.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def transcript(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


def lines(*turns: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        line for ask, answer in turns for line in (("user", ask), ("assistant", answer))
    ]


async def ask(talk: Talk, text: str) -> None:
    """Say something and wait for the end of the answer."""
    count = len(transcript(talk.session))
    await talk.say(text)
    await talk.until(lambda s: len(transcript(s)) > count + 1 and select_is_settled(s))


def facts(talk: Talk, kind: type) -> list[tuple[int, Any]]:
    return [(r.epoch, r.event) for r in talk.records if isinstance(r.event, kind)]


def problems(session: Session) -> list[str]:
    return [problem.kind for problem in select_problems(session)]


def status(session: Session) -> tuple[str, int]:
    return session.connection.status.value, session.connection.epoch


async def closed(talk: Talk, epoch: int = 0) -> None:
    await talk.close()
    assert status(talk.session) == ("closed", epoch)
    # No command is left.
    assert talk.session.connection.dialing is None


def test_a_talk_and_its_end(run: Run, serve: Callable[..., str]) -> None:
    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await ask(talk, COUNT[0])
        await closed(talk)
        assert transcript(talk.session) == lines(HELLO, COUNT)
        assert problems(talk.session) == []
        attempts = facts(talk, ev.Connecting)
        assert [(epoch, fact.attempt) for epoch, fact in attempts] == [(0, 1)]

    run(serve(), KEY, scenario)


@pytest.mark.parametrize("code", [1006, 1001, 1011, 1012])
def test_a_connection_that_is_lost(
    run: Run, serve: Callable[..., str], code: int
) -> None:
    """The conversation goes on, and the service gets what was said before."""

    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await talk.until(lambda s: status(s) == ("open", 1))
        await ask(talk, COUNT[0])
        assert status(talk.session) == ("open", 1)
        await closed(talk, 1)
        assert transcript(talk.session) == lines(HELLO, COUNT)
        assert problems(talk.session) == ["disconnected"]
        restored = [
            r.event.item.id
            for r in talk.records
            if isinstance(r.event, ev.ConversationItemCreate) and r.epoch == 1
        ]
        assert restored[:2] == list(talk.session.conversation.order)[:2]

    run(serve(cut(code)), KEY, scenario)


def cut(code: int, event: str = "response.done", **conditions: Any) -> Fault:
    """The first connection is cut after this event."""
    return Fault(does=Cut(code), events=(event,), sessions=frozenset({1}), **conditions)


def test_a_loss_in_the_middle_of_an_answer(run: Run, serve: Callable[..., str]) -> None:
    """Its words so far stay; the next turn follows them."""

    async def scenario(talk: Talk) -> None:
        await talk.say(HELLO[0])
        await talk.until(lambda s: status(s) == ("open", 1))
        await ask(talk, COUNT[0])
        await closed(talk, 1)
        said = transcript(talk.session)
        assert [said[0], *said[2:]] == [("user", HELLO[0]), *lines(COUNT)]
        role, begun = said[1]
        assert role == "assistant"
        assert begun
        assert HELLO[1].startswith(begun)

    second = cut(1006, "response.output_text.delta", nth=frozenset({2}))
    run(serve(second), KEY, scenario)


def test_what_is_said_while_there_is_no_connection(
    run: Run, serve: Callable[..., str]
) -> None:
    """It is sent on the next connection, after the conversation."""

    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await talk.until(lambda s: s.connection.status.value == "reconnecting")
        await ask(talk, COUNT[0])
        await closed(talk, 1)
        assert transcript(talk.session) == lines(HELLO, COUNT)
        attempts = facts(talk, ev.Connecting)
        assert [(e, fact.attempt) for e, fact in attempts] == [
            (0, 1),
            (1, 1),
            (1, 2),
            (1, 3),
        ]
        assert [fact.status for _, fact in facts(talk, ev.ConnectFailed)] == [503, 503]

    run(serve(cut(1006), fail=(200, 503, 503)), KEY, scenario)


def test_a_busy_service_at_the_beginning(run: Run, serve: Callable[..., str]) -> None:
    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await closed(talk)
        assert transcript(talk.session) == lines(HELLO)
        failed = facts(talk, ev.ConnectFailed)
        assert [(e, f.attempt, f.status) for e, f in failed] == [
            (0, 1, 503),
            (0, 2, 429),
        ]

    run(serve(fail=(503, 429)), KEY, scenario)


def test_a_refused_key(run: Run, serve: Callable[..., str]) -> None:
    async def scenario(talk: Talk) -> None:
        session = await talk.until(lambda s: s.connection.status.value == "failed")
        assert status(session) == ("failed", 0)
        assert len(facts(talk, ev.Connecting)) == 1
        assert transcript(session) == []

    run(serve(key="another"), KEY, scenario)


def test_a_code_that_ends_the_session(run: Run, serve: Callable[..., str]) -> None:
    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        session = await talk.until(lambda s: s.connection.status.value == "failed")
        assert status(session) == ("failed", 0)
        assert transcript(session) == lines(HELLO)
        assert len(facts(talk, ev.Connecting)) == 1

    run(serve(cut(1008)), KEY, scenario)


def test_a_connection_that_expires(run: Run, serve: Callable[..., str]) -> None:
    """It is replaced after half of its life, without a problem and without a gap."""

    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await talk.until(lambda s: status(s) == ("open", 1))
        await ask(talk, COUNT[0])
        epoch = talk.session.connection.epoch
        await closed(talk, epoch)
        assert transcript(talk.session) == lines(HELLO, COUNT)
        assert problems(talk.session) == []
        assert [e for e, _ in facts(talk, ev.Switched)] == list(range(1, epoch + 1))
        ended = [e for e, _ in facts(talk, ev.Disconnected)]
        assert ended == list(range(epoch + 1))

    run(serve(life=3.0), KEY, scenario)


@pytest.mark.parametrize("failures", [(503,) * 20, ()])
def test_closing_while_it_reconnects(
    run: Run, serve: Callable[..., str], failures: tuple[int, ...]
) -> None:
    """Nothing is left: no attempt, no task."""

    async def scenario(talk: Talk) -> None:
        await ask(talk, HELLO[0])
        await talk.until(lambda s: s.connection.status.value == "reconnecting")
        await talk.close()
        assert talk.session.connection.status.value == "closed"
        assert talk.session.connection.dialing is None
        assert transcript(talk.session) == lines(HELLO)

    run(serve(cut(1006), fail=(200, *failures)), KEY, scenario)


CREATED = {"type": "session.created", "session": {"type": "realtime", "id": "sess_1"}}
LATE = {"type": "rate_limits.updated", "event_id": "late", "rate_limits": []}


@pytest.fixture
def scripted() -> Iterator[str]:
    """A service that sends its first event with the response to the handshake.

    Before its close frame it sends one more event.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=be_service, args=[listener], daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(10)


def be_service(listener: socket.socket) -> None:
    protocol = ServerProtocol()
    peer, _ = listener.accept()
    # A client may end the connection at any time.
    with peer, contextlib.suppress(ConnectionError):
        while data := peer.recv(1 << 16):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    protocol.send_text(json.dumps(CREATED).encode())
                elif isinstance(event, Frame) and event.opcode is OP_CLOSE:
                    late = Frame(OP_TEXT, json.dumps(LATE).encode())
                    peer.sendall(late.serialize(mask=False))
            peer.sendall(b"".join(protocol.data_to_send()))
            if protocol.close_expected():
                return


def test_frames_on_their_way_at_the_end(run: Run, scripted: str) -> None:
    """They are recorded, and the end of their connection after them."""

    async def scenario(talk: Talk) -> None:
        await closed(talk)
        names = [record.event.type for record in talk.records]
        late = names.index("rate_limits.updated")
        assert names[late + 1 :] == ["duologue.disconnected", "duologue.closed"]

    run(scripted, KEY, scenario)


def test_an_aborted_connection_receives_nothing_more(
    scripted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a frame that has arrived together with the opening."""
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    url = scripted.replace("http", "ws") + "/realtime"
    got: list[bytes] = []

    async def main() -> Any:
        connection = import_module("trio_connection").Connection(url, KEY)
        return await connection.run(
            Connect("call"), opened=connection.abort, received=got.append
        )

    assert (trio.run(main), got) == (None, [])


def test_the_example_prints_what_its_page_says(serve: Callable[..., str]) -> None:
    url = serve().replace("http", "ws")
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, f"{url}/realtime"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        ["user: hello", "assistant: Hello there. It is good to hear you."],
        "",
    )


def test_closing_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver for trio makes no attempt, and returns."""
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    make = import_module("trio_driver").TrioDriver

    async def main() -> list[Record]:
        with trio.fail_after(5):
            driver = make("ws://127.0.0.1:9", KEY)
            talk = TrioTalk(driver)
            await driver.close()
            await driver.run()
        return talk.records

    names = [str(record.event.type) for record in trio.run(main)]
    facts = ("closing", "disconnected", "closed")
    assert names == [f"duologue.{fact}" for fact in facts]
