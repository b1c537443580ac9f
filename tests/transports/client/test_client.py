"""Live sessions with the local service in the process: no network, no audio."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from msgspec import UNSET

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    Store,
    Transcript,
    decode,
    dump,
    events,
    fold,
    load,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.core.models import REALTIME
from duologue.local import in_process
from duologue.transports import (
    Client,
    ConnectError,
    ConnectionLost,
    LiveSession,
    LogError,
    NotConnected,
    ReplayDrift,
    Target,
    Transport,
    read_log_file,
    record,
    replay,
)
from duologue.transports.drivers import memory
from duologue.transports.drivers.memory import MemoryEnd, pair

TYPED = SessionConfig(output_modalities=("text",))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(base_url="http://127.0.0.1/v1") as client:
        yield client


def is_answered(session: Session) -> bool:
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


async def ask(session: LiveSession, text: str) -> None:
    """Send a text, and wait for the whole answer."""
    count = len(select_transcripts(session.state))
    await session.send_text(text)
    await session.until(
        lambda s: is_answered(s) and len(select_transcripts(s)) > count + 1, timeout=10
    )


def words(session: Session) -> list[tuple[str, str, bool]]:
    return [(t.role, t.text, t.final) for t in select_transcripts(session)]


HELLO = [
    ("user", "hello", True),
    ("assistant", "Hello there. It is good to hear you.", True),
]


async def test_a_typed_turn_gives_both_lines_in_order(client: Client) -> None:
    """The state has the typed text and the answer, both final."""
    session = await client.start_session(TYPED, transport=in_process())
    await session.send_text("hello")
    assert words(await session.until(is_answered, timeout=10)) == HELLO


async def test_sessions_have_their_own_words(client: Client) -> None:
    """Two concurrent sessions in one store do not mix."""
    one = await client.start_session(TYPED, id="one", transport=in_process())
    two = await client.start_session(TYPED, id="two", transport=in_process())
    await asyncio.gather(one.send_text("hello"), two.send_text("count to three"))
    states = [await s.until(is_answered, timeout=10) for s in (one, two)]
    assert [words(state) for state in states] == [
        HELLO,
        [
            ("user", "count to three", True),
            ("assistant", "One, two, three.", True),
        ],
    ]
    assert client.get_session("two") is two
    assert list(client.sessions) == ["one", "two"]


async def test_an_id_is_used_once(client: Client) -> None:
    """A second session with the same id is refused."""
    await client.start_session(TYPED, id="one", transport=in_process())
    with pytest.raises(ValueError, match="'one' is open"):
        await client.start_session(TYPED, id="one", transport=in_process())


async def test_a_closed_session_goes_on_under_its_id(client: Client) -> None:
    """Its next connection restores the conversation; the lines keep their order."""
    first = await client.start_session(TYPED, id="one", transport=in_process())
    await ask(first, "my name is Ada")
    await first.close()
    second = await client.start_session(id="one", transport=in_process())
    await ask(second, "hello")
    assert client.get_session("one") is second
    assert second.state.connection.epoch == 1
    assert [(role, text) for role, text, _ in words(second.state)] == [
        ("user", "my name is Ada"),
        ("assistant", "Nice to meet you, Ada."),
        ("user", "hello"),
        ("assistant", "Hello there. It is good to hear you."),
    ]
    confirmed = second.state.connection.confirmed
    assert isinstance(confirmed, events.RealtimeSessionConfig)
    assert confirmed.output_modalities == ("text",)
    assert select_problems(second.state) == ()


async def test_the_earlier_object_of_a_session_that_goes_on(client: Client) -> None:
    """It keeps its last state, and changes nothing of the session any more."""
    ours, theirs = pair()
    first = await client.start_session(TYPED, id="one", transport=ours)
    await theirs.close("the cable was cut")
    with pytest.raises(ConnectionLost):
        await first.until(lambda s: False, timeout=5)
    second = await client.start_session(TYPED, id="one", transport=in_process())
    first.mute()
    first.clear_transcripts()
    await first.close()
    await ask(second, "hello")

    assert first.state.connection.status is SessionStatus.FAILED
    assert second.state.connection.status is SessionStatus.OPEN
    assert not second.state.activity.muted
    assert words(second.state) == HELLO


async def test_a_session_goes_on_in_another_client_of_its_store(
    client: Client,
) -> None:
    """The object of the first client keeps its last state and changes nothing."""
    first = await client.start_session(TYPED, id="one", transport=in_process())
    await first.close()
    async with Client(store=client.store, base_url="http://127.0.0.1/v1") as other:
        second = await other.start_session(TYPED, id="one", transport=in_process())
        first.mute()
        first.clear_transcripts()
        await first.interrupt()
        with pytest.raises(NotConnected):
            await first.send_text("hello")
        last = await client.close_session("one")
        await ask(second, "hello")

        assert last.connection.status is SessionStatus.CLOSED
        assert not second.state.activity.muted
        assert client.store.session("one") == second.state
        assert words(second.state) == HELLO


async def test_no_text_of_a_continued_session_replaces_another(client: Client) -> None:
    """The ids of messages are distinct in all runs of a session."""
    texts = [f"{run}.{number}" for run in range(6) for number in range(3)]
    for run in range(6):
        session = await client.start_session(TYPED, id="one", transport=in_process())
        for text in texts[run * 3 : run * 3 + 3 - run % 2]:
            await session.send_text(text)
        await session.until(select_is_settled, timeout=10)
        await session.close()
    said = [text for role, text, _ in words(session.state) if role == "user"]
    assert said == [text for text in texts if text not in ("1.2", "3.2", "5.2")]


async def test_a_snapshot_of_any_moment_goes_on(client: Client) -> None:
    """A process may end at any record: no line is lost, and the order stays."""
    snapshots: list[bytes] = []
    keep = client.store.subscribe(lambda *states: snapshots.append(dump(states[2])))
    session = await client.start_session(TYPED, id="one", transport=in_process())
    await ask(session, "my name is Ada")
    await ask(session, "hello")
    keep()
    for snapshot in snapshots:
        store = Store(load(snapshot))
        before = store.session("one")
        assert before is not None
        async with Client(store=store, base_url="http://127.0.0.1/v1") as other:
            again = await other.start_session(TYPED, id="one", transport=in_process())
            await again.until(select_is_settled, timeout=10)
            await ask(again, "hello")
            lines = [text for _, text, _ in words(again.state)]
        known = [line.text for line in select_transcripts(before)]
        assert lines[: len(known)] == known
        assert lines[-2:] == [text for _, text, _ in HELLO]
        assert again.state.connection.epoch == before.connection.epoch + 1


async def test_an_invalid_configuration_leaves_the_id_free(client: Client) -> None:
    """Nothing was begun: the same id can be started with a valid one."""
    with pytest.raises(ValueError, match="voice"):
        await client.start_session(
            SessionConfig(voice=123),  # type: ignore[arg-type]
            id="one",
            transport=in_process(),
        )
    assert client.sessions == {}
    session = await client.start_session(TYPED, id="one", transport=in_process())
    assert session.state.connection.status is SessionStatus.OPEN


async def test_an_invalid_item_of_the_history_is_named(client: Client) -> None:
    """Before anything is connected."""
    parts = (events.InputTextPart(text="\ud800"),)
    items = [
        events.MessageItem(role="user", content=(events.InputTextPart(text="hello"),)),
        events.MessageItem(role="user", content=parts),
    ]
    with pytest.raises(ValueError, match="history item 1 is not valid Unicode"):
        await client.start_session(TYPED, transport=in_process(), history=items)
    assert client.sessions == {}


async def test_a_start_cancelled_while_it_sends_the_history(client: Client) -> None:
    """The session is closed, because its caller never gets it."""
    ours, theirs = pair()
    item = events.MessageItem(role="user", content=(events.InputTextPart(text="hi"),))
    starting = client.start_session(
        TYPED, id="one", transport=ours, history=[item] * (memory.LIMIT + 9)
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(starting, 0.2)
    assert client.get_session("one").state.connection.status is SessionStatus.CLOSED
    with pytest.raises(NotConnected):
        await theirs.send("{}")


async def test_an_error_of_the_predicate_ends_the_wait(client: Client) -> None:
    """Also if it is raised later than in the call."""
    session = await client.start_session(TYPED, transport=in_process())

    def predicate(state: Session) -> bool:
        return 1 // (1 - len(state.items)) < 0

    waiting = asyncio.create_task(session.until(predicate))
    await ask(session, "hello")
    with pytest.raises(ZeroDivisionError):
        await waiting


async def test_a_new_session_begins_with_the_history_of_another(client: Client) -> None:
    """The items get new ids; items of the application can be the history, too."""
    first = await client.start_session(TYPED, transport=in_process())
    await ask(first, "hello")
    second = await client.start_session(
        TYPED, transport=in_process(), history=first.state
    )
    await second.until(lambda s: len(words(s)) == 2, timeout=5)
    item = events.MessageItem(role="user", content=(events.InputTextPart(text="Hi."),))
    third = await client.start_session(TYPED, transport=in_process(), history=[item])
    await third.until(lambda s: len(words(s)) == 1, timeout=5)

    assert words(second.state) == HELLO
    assert not set(first.state.items) & set(second.state.items)
    assert words(third.state) == [("user", "Hi.", True)]


async def test_a_call_of_the_history_is_not_run(client: Client) -> None:
    """It was run before; its output is in the history, too."""
    runs: list[str] = []

    def charge(amount: int = 1) -> str:
        runs.append("again")
        return "done"

    call = events.FunctionCallItem(call_id="c", name="charge", arguments="{}")
    output = events.FunctionCallOutputItem(call_id="c", output="done")
    session = await client.start_session(
        TYPED, transport=in_process(), tools=[charge], history=[call, output]
    )
    await session.until(lambda s: len(s.items) == 2, timeout=5)
    await ask(session, "hello")

    assert runs == []
    assert [item.type for item in session.state.items.values()].count(
        "function_call_output"
    ) == 1


async def test_close_leaves_the_session_in_state(client: Client) -> None:
    """A closed session stays readable, with the status ``closed``."""
    session = await client.start_session(TYPED, transport=in_process())
    await session.close()
    await session.close()
    assert session.state.connection.status is SessionStatus.CLOSED
    assert client.store.session(session.id) == session.state


async def test_close_session_gives_the_last_value_and_forgets(client: Client) -> None:
    """The store drops the session that the caller gets."""
    session = await client.start_session(TYPED, id="one", transport=in_process())
    await session.send_text("hello")
    await session.until(is_answered, timeout=10)
    last = await client.close_session("one")
    assert words(last) == HELLO
    assert last.connection.status is SessionStatus.CLOSED
    assert client.store.session("one") is None
    assert dict(client.sessions) == {}


async def test_all_who_close_wait_for_the_same_end(
    client: Client, tmp_path: Path
) -> None:
    """No caller ends the log before the session has ended."""
    path = tmp_path / "session.jsonl"
    session = await client.start_session(TYPED, transport=record(in_process(), path))
    await asyncio.gather(session.close(), session.close(), client.close())
    assert dump(fold(read_log_file(path))) == dump(client.store.state)
    assert session.state.connection.status is SessionStatus.CLOSED


async def test_all_who_close_and_forget_get_the_last_value(client: Client) -> None:
    """Two concurrent callers both get it; a later one gets KeyError."""
    session = await client.start_session(TYPED, id="one", transport=in_process())
    await session.send_text("hello")
    await session.until(is_answered, timeout=10)
    close = client.close_session
    first, second = await asyncio.gather(close("one"), close("one"))
    assert first is second
    assert words(first) == HELLO
    assert client.store.session("one") is None
    with pytest.raises(KeyError):
        await close("one")


async def test_a_cancelled_close_goes_on(client: Client) -> None:
    """A cancelled caller does not stop the close for others."""
    session = await client.start_session(TYPED, transport=in_process())
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await session.close()
    assert session.state.connection.status is SessionStatus.CLOSED


async def test_nothing_is_sent_after_close(client: Client) -> None:
    """Sending on a closed session raises, and records nothing."""
    session = await client.start_session(TYPED, transport=in_process())
    await session.close()
    before = session.state
    with pytest.raises(NotConnected):
        await session.send_text("hello")
    assert session.state is before


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (
            events.ResponseDone(response=events.RealtimeResponse()),
            "is not a client event",
        ),
        ({"type": "session.created", "session": {}}, "is not a client event"),
        ({"event_id": "x"}, "no type"),
    ],
)
async def test_only_a_clients_events_are_sent(
    client: Client, event: events.Event | dict[str, str], why: str
) -> None:
    """Server events and invalid events are refused with a reason."""
    session = await client.start_session(TYPED, transport=in_process())
    with pytest.raises(ValueError, match=why):
        await session.send_event(event)


async def test_event_ids_are_reproducible(client: Client) -> None:
    """An event id derives from the session and the position in the log."""
    sent: list[str | None] = []
    client.store.subscribe(
        lambda before, record, after: (
            sent.append(getattr(record.event, "event_id", None))
            if record.dir == "out"
            else None
        )
    )
    ours, theirs = pair()
    session = await client.start_session(TYPED, id="me", transport=ours)
    await session.send_event({"type": "response.cancel"})
    await session.send_event({"type": "response.cancel", "event_id": "mine"})
    assert sent == ["me.4.0", "mine"]
    await theirs.close()


class Refusing:
    """A transport that cannot connect."""

    async def connect(self, target: Target) -> None:
        raise ConnectError("nobody is at home")

    async def send(self, frame: str) -> None:
        raise AssertionError

    async def frames(self) -> AsyncIterator[str | bytes]:
        raise AssertionError
        yield ""

    async def close(self) -> None:
        pass


async def test_a_failed_connect_is_a_failed_session(client: Client) -> None:
    """The caller gets the error, and the state has the reason."""
    with pytest.raises(ConnectError, match="nobody"):
        await client.start_session(TYPED, id="one", transport=Refusing())
    state = client.get_session("one").state
    assert state.connection.status is SessionStatus.FAILED
    assert [p.message for p in select_problems(state)] == ["nobody is at home"]


async def test_a_lost_connection_is_a_failed_session(client: Client) -> None:
    """A lost connection ends only its own session, with a reason."""
    ours, theirs = pair()
    other = await client.start_session(TYPED, id="other", transport=in_process())
    session = await client.start_session(TYPED, transport=ours)
    await theirs.close("the cable was cut")
    state = await session.until(
        lambda s: s.connection.status is SessionStatus.FAILED, timeout=5
    )
    assert state.connection.reason == "the cable was cut"
    assert other.state.connection.status is SessionStatus.OPEN
    with pytest.raises(NotConnected):
        await session.send_text("hello")


async def test_an_incomplete_transport_is_not_called(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the method that is missing, or misspelt."""

    class Misspelt:
        async def connect(self, target: Target) -> None: ...
        async def send(self, frame: str) -> None: ...
        async def close(self) -> None: ...

    session = await client.start_session(transport=cast(Transport, Misspelt()))
    await session.close()

    assert "'Misspelt' object has no attribute 'frames'" in caplog.text


async def test_a_cancelled_start_leaves_no_task(client: Client) -> None:
    """Cancelling a connect frees everything and is recorded."""

    class Endless(Refusing):
        closed = False

        async def connect(self, target: Target) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            self.closed = True

    transport = Endless()
    tasks = asyncio.all_tasks()
    start = asyncio.create_task(client.start_session(id="x", transport=transport))
    await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    gc.collect()
    assert asyncio.all_tasks() == tasks
    assert transport.closed
    assert client.get_session("x").state.connection.status is SessionStatus.FAILED


async def test_notices_come_by_name(client: Client) -> None:
    """Callbacks get deltas, final lines and the end of a response."""
    session = await client.start_session(TYPED, transport=in_process())
    deltas: list[str] = []
    finals: list[Transcript] = []
    done: list[str] = []
    session.on("transcript_delta", lambda line, delta: deltas.append(delta))
    session.on("transcript", finals.append)
    session.on("response_done", lambda response: done.append(response.status))
    await session.send_text("hello")
    await session.until(is_answered, timeout=10)
    assert "".join(deltas).strip() == HELLO[1][1]
    assert [line.text for line in finals] == ["hello", HELLO[1][1]]
    assert done == ["completed"]


async def test_a_raising_callback_hurts_nobody(client: Client) -> None:
    """Other callbacks and the state are not affected."""
    session = await client.start_session(TYPED, transport=in_process())
    seen: list[Transcript] = []

    def fail(line: Transcript) -> None:
        raise RuntimeError("mine")

    session.on("transcript", fail)
    session.on("transcript", seen.append)
    await session.send_text("hello")
    await session.until(is_answered, timeout=10)
    assert len(seen) == 2


async def test_a_failing_callback_is_logged_and_kept(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged and stored; a coroutine function is refused."""
    session = await client.start_session(TYPED, transport=in_process())
    error = RuntimeError("mine")

    def fail(status: SessionStatus) -> None:
        raise error

    async def never_awaited() -> None: ...

    session.on("status", fail)
    with pytest.raises(TypeError, match="plain function"):
        session.on("connected", never_awaited)
    await session.close()
    assert session.callback_failures == (error,)
    assert [record.message for record in caplog.records] == [
        "a callback for 'status' failed"
    ]


async def test_waiting_ends_with_the_session(client: Client) -> None:
    """`until` raises with the reason when the session is over."""
    ours, theirs = pair()
    session = await client.start_session(TYPED, transport=ours)
    waiting = asyncio.create_task(session.until(lambda state: False))
    await asyncio.sleep(0)
    await theirs.close("the cable was cut")
    with pytest.raises(ConnectionLost, match="the cable was cut"):
        await waiting
    with pytest.raises(ConnectionLost):
        await session.until(lambda state: False)


async def test_a_closed_client_starts_nothing() -> None:
    """`start_session` raises after `close`."""
    client = Client(base_url="http://127.0.0.1/v1")
    await client.close()
    with pytest.raises(NotConnected):
        await client.start_session(TYPED, transport=in_process())


@pytest.mark.parametrize(("text", "kind"), [(None, TypeError), ("\udcff", ValueError)])
async def test_what_is_no_text_is_refused(
    client: Client, text: str, kind: type[Exception]
) -> None:
    """Invalid text is refused, and nothing is sent."""
    session = await client.start_session(TYPED, transport=in_process())
    before = session.state
    with pytest.raises(kind):
        await session.send_text(text)
    assert session.state is before


async def test_a_log_is_replaced_by_a_session_only(
    client: Client, tmp_path: Path
) -> None:
    """A failed attempt keeps the log of an earlier session."""
    path = tmp_path / "session.jsonl"
    path.write_text("precious")
    with pytest.raises(ConnectError):
        await client.start_session(TYPED, transport=record(Refusing(), path))
    assert path.read_text() == "precious"
    with pytest.raises(LogError, match="No such file"):
        record(in_process(), tmp_path / "no" / "where.jsonl")


async def test_an_unknown_notice_is_refused(client: Client) -> None:
    """An unknown name raises at once."""
    session = await client.start_session(TYPED, transport=in_process())
    with pytest.raises(ValueError, match="'transcripts'"):
        session.on("transcripts", print)


async def recorded_hello(path: Path) -> tuple[Store, str]:
    """Record one typed turn; return the store of the live session."""
    store = Store()
    async with Client(base_url="http://127.0.0.1/v1", store=store) as client:
        transport = record(in_process(), path)
        session = await client.start_session(TYPED, id="me", transport=transport)
        await session.send_text("hello")
        await session.until(is_answered, timeout=10)
    return store, session.id


async def test_the_fold_of_a_recording_is_the_live_state(tmp_path: Path) -> None:
    """The same records give the same state and the same dump."""
    path = tmp_path / "session.jsonl"
    store, _ = await recorded_hello(path)
    assert dump(fold(read_log_file(path))) == dump(store.state)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_function_that_records(tmp_path: Path, client: Client) -> None:
    """The log has the whole session, also later connections."""
    path = tmp_path / "session.jsonl"
    ends: list[MemoryEnd] = []

    def make() -> Transport:
        ours, theirs = pair()
        ends.append(theirs)
        return record(ours, path)

    session = await client.start_session(TYPED, transport=make)
    await ends[0].close("the cable was cut", code=1006)
    await session.until(
        lambda s: (s.connection.epoch, s.connection.status.value) == (1, "open"),
        timeout=5,
    )
    await session.close()
    assert dump(fold(read_log_file(path))) == dump(client.store.state)


async def test_a_function_that_replays(tmp_path: Path, client: Client) -> None:
    """A replayed session has its recorded id, times and event ids."""
    path = tmp_path / "session.jsonl"
    live, name = await recorded_hello(path)
    session = await client.start_session(TYPED, transport=lambda: replay(path))
    await session.send_text("hello")
    again = await session.until(is_answered, timeout=10)
    before = live.session(name)
    assert before is not None
    assert (session.id, again.items) == (name, before.items)


@pytest.mark.parametrize(
    ("config", "variable", "model"),
    [
        (None, None, REALTIME),
        (None, "mine", "mine"),
        (TYPED, None, REALTIME),
        (TYPED, "mine", "mine"),
        (TYPED, "", REALTIME),
        (SessionConfig(model="another"), "mine", "another"),
        (SessionConfig(model=UNSET), "mine", None),
    ],
)
async def test_which_model_is_asked_for(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    config: SessionConfig | None,
    variable: str | None,
    model: str | None,
) -> None:
    """From the options, else the environment, else the table."""
    monkeypatch.delenv("DUOLOGUE_MODEL", raising=False)
    if variable is not None:
        monkeypatch.setenv("DUOLOGUE_MODEL", variable)
    ours, theirs = pair()
    await client.start_session(config, transport=ours)
    target = await theirs.wait_connected()
    assert target.session.get("model") == model


@pytest.mark.parametrize("sends", ["strict", "order", "ignore"])
async def test_a_recording_stands_in_for_the_service(
    tmp_path: Path, client: Client, sends: str
) -> None:
    """The same application over a replay gives the same text."""
    path = tmp_path / "session.jsonl"
    await recorded_hello(path)
    transport: Transport = replay(path, sends=sends)  # type: ignore[arg-type]
    session = await client.start_session(TYPED, transport=transport)
    await session.send_text("hello")
    assert words(await session.until(is_answered, timeout=10)) == HELLO


async def test_drift_from_a_recording_is_shown(tmp_path: Path, client: Client) -> None:
    """A different event raises with the first difference."""
    path = tmp_path / "session.jsonl"
    await recorded_hello(path)
    session = await client.start_session(TYPED, transport=replay(path))
    with pytest.raises(ReplayDrift, match=r'recorded "hello", sent "goodbye"'):
        await session.send_text("goodbye")


async def test_typing_while_the_assistant_answers(client: Client) -> None:
    """The text is sent at once, its response requested after the current one."""
    ours, theirs = pair()
    session = await client.start_session(TYPED, transport=ours)
    sent = theirs.frames()

    async def next_type() -> str:
        return decode(await asyncio.wait_for(anext(sent), 5)).type

    async def say(type: str, **response: str) -> None:
        await theirs.send(json.dumps({"type": type, "response": response}))
        await session.until(
            lambda s: (s.responses.active is None) is (type == "response.done"),
            timeout=5,
        )

    await say("response.created", id="r", conversation_id="c")
    await session.send_text("wait")
    await session.send_text("stop")
    assert [await next_type(), await next_type()] == ["conversation.item.create"] * 2
    await say("response.done", id="r", status="completed", conversation_id="c")
    assert await next_type() == "response.create"
    await session.send_text("go on")
    assert await next_type() == "conversation.item.create"
    assert session.state.responses.queued is not None
    await theirs.close()
