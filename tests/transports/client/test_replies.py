"""`LiveSession.ask` and `LiveSession.replies`, with a service of the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from duologue.core import SessionConfig, select_is_settled
from duologue.core.testing.service_frames import Service
from duologue.local import in_process
from duologue.transports import (
    Client,
    ConnectionLost,
    LiveSession,
    ReplyError,
    ReplyTimeout,
    memory,
    tool,
)

pytestmark = pytest.mark.anyio


class Far:
    """A service: each ``response.create`` calls the next of ``answers``."""

    def __init__(self, *answers: Callable[[Far], None], echoes: bool = True) -> None:
        self.transport, self._end = memory.pair()
        self.writes = Service()
        self._answers = list(answers)
        self._echoes = echoes

    async def run(self) -> None:
        await self._end.wait_connected()
        self.writes.created(audio={"input": {"turn_detection": None}})
        await self.flush()
        async for frame in self._end.frames():
            event: dict[str, Any] = json.loads(frame)
            if event["type"] == "conversation.item.create" and self._echoes:
                self.writes.put({**event["item"], "status": "completed"})
            if event["type"] == "response.create" and self._answers:
                self._answers.pop(0)(self)
            await self.flush()

    async def flush(self) -> None:
        frames, self.writes.frames = self.writes.frames, []
        for frame in frames:
            await self._end.send(json.dumps(frame))

    async def close(self) -> None:
        await self._end.close()


def say(*words: str) -> Callable[[Far], None]:
    return lambda far: void(far.writes.reply(*words, spoken=False))


def void(value: object) -> None:
    """For a function whose result does not matter."""


def call(name: str) -> Callable[[Far], None]:
    def answer(far: Far) -> None:
        response = far.writes.begin()
        said = far.writes.say(response, ["Let me check."], spoken=False)
        made = far.writes.call(response, name, ['{"what": "ink"}'], index=1)
        far.writes.end(response, [far.writes.finish(said), made])

    return answer


@asynccontextmanager
async def talk(far: Far, **options: Any) -> AsyncIterator[LiveSession]:
    task = asyncio.create_task(far.run())
    async with Client(backoff=None) as client:
        yield await client.start_session(transport=far.transport, **options)
    task.cancel()


async def stock(what: str) -> str:
    """Asynchronous."""
    await asyncio.sleep(0.3)
    return f"12 {what}"


def slow_stock(what: str) -> str:
    """In a thread."""
    time.sleep(0.3)
    return f"12 {what}"


@pytest.mark.parametrize("function", [stock, slow_stock])
async def test_a_reply_with_a_tool_is_whole(function: Any) -> None:
    """It has the text before the call and the answer to the output."""
    far = Far(call("stock"), say("There are ", "twelve."), say("Hello."))
    async with talk(far, tools=[tool(function, name="stock")]) as session:
        reply = await session.ask("How many?", timeout=10)
        assert reply.text == "Let me check.\nThere are twelve."
        assert select_is_settled(session.state)
        assert [(one.name, one.output) for one in reply.calls] == [("stock", "12 ink")]
        following = await session.ask("Hello?", timeout=10)
        assert (following.text, following.calls) == ("Hello.", ())


async def test_concurrent_questions_have_their_own_answers() -> None:
    """Each call of `ask` gets the answer to its text, in order."""
    far = Far(*(say(word) for word in ("One.", "Two.", "Three.")))
    async with talk(far) as session:
        asked = (session.ask(text, timeout=10) for text in ("1", "2", "3"))
        replies = await asyncio.gather(*asked)
    assert [reply.text for reply in replies] == ["One.", "Two.", "Three."]
    texts = [session.state.items[one.item_id or ""].parts[0].text for one in replies]
    assert [str(text) for text in texts] == ["1", "2", "3"]


async def test_a_service_that_echoes_no_message() -> None:
    """The reply is known by its request, not by the echo of the message."""
    async with talk(Far(say("Yes."), echoes=False)) as session:
        reply = await session.ask("Well?", timeout=10)
        assert reply.text == "Yes."


async def test_an_interrupted_reply() -> None:
    """`ReplyError` has the text so far."""

    def answer(far: Far) -> None:
        response = far.writes.begin()
        said = far.writes.say(response, ["One, ", "two, "], spoken=False)
        far.writes.start_speech()
        made = [far.writes.finish(said, "incomplete")]
        why: Any = {"type": "cancelled", "reason": "turn_detected"}
        far.writes.end(response, made, "cancelled", **why)

    async with talk(Far(answer)) as session:
        with pytest.raises(ReplyError, match="interrupted: turn_detected") as raised:
            await session.ask("Count.", timeout=10)
        assert raised.value.reply.text == "One, two,"
        assert not isinstance(raised.value, TimeoutError)


async def test_a_failed_reply() -> None:
    """The message of the service is in the error."""

    def answer(far: Far) -> None:
        response = far.writes.begin()
        error = {"code": "server_error", "message": "sorry"}
        far.writes.end(response, [], "failed", type="failed", error=error)

    def refuse(far: Far) -> None:
        error = {"type": "invalid_request_error", "code": "bad_response_create"}
        far.writes.send("error", error={**error, "message": "not now"})

    async with talk(Far(answer, refuse, say("Now."))) as session:
        with pytest.raises(ReplyError, match="failed: sorry"):
            await session.ask("One?", timeout=10)
        with pytest.raises(ReplyError, match="failed: not now"):
            await session.ask("Two?", timeout=10)
        assert (await session.ask("Three?", timeout=10)).text == "Now."


async def test_a_reply_that_takes_too_long() -> None:
    """A `TimeoutError` with the text so far; the next question is not disturbed."""
    responses: list[str] = []

    def begin(far: Far) -> None:
        responses.append(far.writes.begin())
        far.writes.say(responses[0], ["Well, "], spoken=False)

    far = Far(begin, say("Two."))
    async with talk(far) as session:
        with pytest.raises(TimeoutError, match=r"not over after 0\.2 s") as raised:
            await session.ask("One?", timeout=0.2)
        assert isinstance(raised.value, ReplyTimeout)
        assert (raised.value.reply.text, raised.value.reply.status) == (
            "Well,",
            "in_progress",
        )
        following = asyncio.create_task(session.ask("Two?", timeout=10))
        with pytest.raises(ReplyTimeout):
            await session.ask("Three?", timeout=0.05)
        far.writes.end(responses[0], [])
        await far.flush()
        assert (await following).text == "Two."


async def test_a_session_that_ends() -> None:
    """`ConnectionLost`, whether it ends during the reply or before the question."""
    async with talk(Far(lambda far: void(far.writes.begin()))) as session:
        asked = [asyncio.create_task(session.ask("One?")) for _ in range(2)]
        await session.until(lambda state: state.responses.active is not None)
        await session.close()
        for task in asked:
            with pytest.raises(ConnectionLost, match="is over"):
                await task
        with pytest.raises(ConnectionLost, match="is over"):
            await session.ask("Two?")
        with pytest.raises(TypeError):
            await session.ask(2)  # type: ignore[arg-type]


async def test_all_replies() -> None:
    """`replies` has the replies to messages and to speech, whole or not, to the end."""
    far = Far(call("stock"), say("Twelve."), say("Typed."))
    async with talk(far, tools=[tool(stock)]) as session:
        await session.ask("Before.", timeout=10)
        replies = session.replies()
        await session.send_text("Typed?")
        first = await anext(replies)
        spoken = far.writes.spoken("Spoken?")
        far.writes.reply("Spoken.", spoken=False)
        response = far.writes.begin()
        far.writes.say(response, ["Cut "], spoken=False)
        await far.flush()
        second = await anext(replies)
        await session.close()
        rest = [reply async for reply in replies]

    assert [first.text, second.text] == ["Typed.", "Spoken."]
    assert second.item_id == spoken
    assert [(one.text, one.status) for one in rest] == [("Cut", "failed")]
    assert [reply async for reply in session.replies()] == []


async def test_spoken_audio_is_part_of_the_reply() -> None:
    """With the local service, the reply is over when its audio is."""
    async with Client() as client:
        config = SessionConfig(output_modalities=("text",))
        session = await client.start_session(config, transport=in_process())
        reply = await session.ask("hello", timeout=10)
        assert reply.text == "Hello there. It is good to hear you."
        assert session.state.activity.playing is None
