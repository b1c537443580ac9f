"""A log of a live session shows that every command of `react` was carried out."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from duologue.core import Command, Record, SessionConfig, Store, dump, load
from duologue.core import events as ev
from duologue.core.effects.backoff import Backoff
from duologue.local import Options, Parts, in_process
from duologue.local.replies.scenario_file import load_scenario
from duologue.transports import (
    AuthenticationError,
    Client,
    Credentials,
    LiveSession,
    ServiceUnreachable,
    SignallingError,
    Target,
    Transport,
    tool,
)
from duologue.transports.errors import DuologueError

from ...core.effects.carried_out import check_carried_out
from ..virtual import VirtualClock, ids, virtually

TYPED = SessionConfig(output_modalities=("text",))
SCENARIO = """
rules:
  - hear: both
    call:
      - {name: weather, arguments: {city: Rome}}
      - {name: weather, arguments: {city: Oslo}}
  - hear: broken
    call: {name: broken, arguments: {}}
  - result: .*
    say: "It gave {output}"
"""
TEXTS = ("count to three", "both please", "broken please", "hello", "both, and hello")


class Keys:
    """A source of keys that are refused now and then."""

    renews = True

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        return Credentials("sk-test")


class Network:
    """Transports to the local service, and everything that can go wrong on the way."""

    def __init__(self, tmp_path: Any, choices: random.Random) -> None:
        path = tmp_path / "scenario.yaml"
        path.write_text(SCENARIO)
        self.parts = Parts(mind=load_scenario(path))
        self.choices = choices
        self.made: list[Any] = []
        self.ids = ids()
        self.clock = VirtualClock()
        self.is_bad = False

    def __call__(self) -> Transport:
        options = Options(pace=self.choices.choice((1.0, float("inf"))), life=400.0)
        ours: Any = in_process(
            parts=self.parts, clock=self.clock, options=options, ids=self.ids
        )
        connect = ours.connect

        async def connected(target: Target) -> None:
            await asyncio.sleep(self.choices.choice((0.0, 0.0, 0.5, 3.0)))
            if self.is_bad and self.choices.random() < 0.6:
                raise self.choices.choice(
                    (
                        ServiceUnreachable("nothing answers"),
                        SignallingError("busy", status=503),
                        AuthenticationError("no", status=401),
                    )
                )
            await connect(target)

        ours.connect = connected
        self.made.append(ours)
        return ours  # type: ignore[no-any-return]

    async def cut(self) -> None:
        end = getattr(self.made[-1], "_end", None)
        if end is not None:
            await end.close("cut", code=1006)


async def quick(city: str) -> dict[str, str]:
    return {"city": city}


async def broken() -> str:
    await asyncio.sleep(2.0)
    raise ValueError("no luck")


async def slow(city: str) -> dict[str, str]:
    await asyncio.sleep(4.0)
    return {"city": city}


async def act(session: LiveSession, network: Network) -> None:
    """One step of the application, or one fault."""
    choices = network.choices
    match choices.randrange(10):
        case 0 | 1:
            await session.send_text(choices.choice(TEXTS))
        case 2:
            await session.ask(
                choices.choice(TEXTS), timeout=choices.choice((1.0, 30.0))
            )
        case 3:
            await session.interrupt()
        case 4:
            await session.update(instructions=f"be number {choices.randrange(9)}")
        case 5:
            await network.cut()
        case 6:
            network.is_bad = not network.is_bad
        case 7:
            session.set_volume(choices.choice((0.1, 0.5)))
            await session.send_event({"type": "input_audio_buffer.clear"})
        case 8:
            deleted = next(iter(session.state.conversation.order), "none")
            await session.send_event(
                {"type": "conversation.item.delete", "item_id": deleted}
            )
        case 9:
            await asyncio.sleep(choices.choice((1.0, 60.0, 130.0, 250.0)))


def talk(seed: int, tmp_path: Any) -> list[Record]:
    """The log of a session with losses, hand-overs, refusals, tools, interruptions.

    Another process continues it from a snapshot.
    """
    choices = random.Random(seed)
    network = Network(tmp_path, choices)
    records: list[Record] = []

    @virtually
    async def run(store: Store) -> None:
        store.subscribe(lambda before, record, after: records.append(record))
        live = Client(
            base_url="http://127.0.0.1/v1",
            store=store,
            credentials=Keys(),
            clock=network.clock,
            chance=choices.random,
            backoff=Backoff(patience=choices.choice((5.0, 30.0))),
        )
        weather = tool(choices.choice((quick, slow)), name="weather")
        async with live:
            with contextlib.suppress(DuologueError):
                session = await live.start_session(
                    None if records else TYPED,
                    id="s",
                    transport=network,
                    tools=[weather, broken],
                )
                for _ in range(choices.randrange(3, 25)):
                    with contextlib.suppress(DuologueError, TimeoutError):
                        await act(session, network)
                    await asyncio.sleep(choices.choice((0.0, 0.0, 0.3, 5.0)))

    run(store := Store())
    network.is_bad, network.clock = False, VirtualClock(10_000.0)
    run(Store(load(dump(store.state))))
    return records


@pytest.mark.parametrize("seed", range(20))
def test_a_log_shows_all_commands_of_any_talk(seed: int, tmp_path: Any) -> None:
    """Each once, in order, in time, with its result; nothing is done without one."""
    check_carried_out(talk(seed, tmp_path), late=0.01, is_whole=True)


ANSWERS = (
    *("duologue.connecting", "duologue.connect_failed", "duologue.connected"),
    *("duologue.switched", "duologue.disconnected", "duologue.tick"),
    *("duologue.tool_started", "conversation.item.create", "response.create"),
    *("response.cancel", "session.update"),
)


def test_the_check_finds_what_is_missing(tmp_path: Any) -> None:
    """The control: the talks have all kinds of commands, the check all answers."""
    logs = [talk(seed, tmp_path) for seed in range(6)]
    found = [each for log in logs for each in check_carried_out(log)]
    assert {type(each) for each in found} == {*get_args(Command)}
    for name in ANSWERS:
        answers = [
            (log, record)
            for log in logs
            for record in log
            if record.event.type == name and record.dir != "in" and not begins(record)
        ]
        assert answers, name
        few = answers[:: len(answers) // 5 + 1]
        # The last ones before the end of a connection may be missing.
        assert sum(is_missed(*each) for each in few) > len(few) / 2, name


def begins(record: Record) -> bool:
    """Whether it is the first attempt of a process, which no rule has requested."""
    event = record.event
    return isinstance(event, ev.Connecting) and event.policy is not None


def is_missed(log: list[Record], record: Record) -> bool:
    """Whether the check fails without this record."""
    kept = [each for each in log if each is not record]
    try:
        check_carried_out(kept, late=0.01, is_whole=True)
    except (AssertionError, IndexError):
        return True
    return False
