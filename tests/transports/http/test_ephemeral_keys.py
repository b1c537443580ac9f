"""Key sources, and the places where a key must not appear."""

from __future__ import annotations

import io
import json
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from duologue.core import SessionConfig, dump, select_problems
from duologue.transports import (
    AuthenticationError,
    Client,
    ConnectError,
    Credentials,
    SignallingError,
    Target,
    Transport,
    record,
)
from duologue.transports.drivers.memory import pair
from duologue.transports.drivers.webrtc.webrtc_transport import webrtc
from duologue.transports.drivers.websocket.websocket_transport import websocket
from duologue.transports.http.ephemeral_keys import EphemeralKeys, TokenEndpoint

if TYPE_CHECKING:
    from tests.transports.conftest import RawServer

API = "sk-private-0123456789"
MINTED = "ek_minted-0123456789"
TYPED = SessionConfig(output_modalities=("text",))


def answer(status: int, body: Any) -> bytes:
    text = json.dumps(body)
    return (
        f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\n\r\n{text}"
    ).encode()


class Fussy:
    """Makes transports that refuse some keys."""

    def __init__(self, refusals: int = 0, *, status: int = 401) -> None:
        self.refusals = refusals
        self.status = status
        self.keys: list[str] = []

    def __call__(self) -> Transport:
        ours, _ = pair()
        connect = ours.connect

        async def connected(target: Target) -> None:
            self.keys.append(target.credentials.key.reveal())
            if len(self.keys) <= self.refusals:
                raise AuthenticationError("the key has expired", status=self.status)
            await connect(target)

        ours.connect = connected  # type: ignore[method-assign]
        return ours


async def test_a_key_is_minted_for_each_connection(raw_server: RawServer) -> None:
    """With the configuration, by the API key, for one connection only."""
    raw_server.reply = answer(200, {"value": MINTED, "expires_at": 1})
    keys = EphemeralKeys(credentials=Credentials(API), lifetime=10)
    fussy = Fussy()
    async with Client(credentials=keys, base_url=raw_server.url) as client:
        await client.start_session(TYPED, transport=fussy)
    assert fussy.keys == [MINTED]
    [seen] = raw_server.seen
    assert seen.line.startswith("POST /v1/realtime/client_secrets ")
    assert seen.headers["authorization"] == f"Bearer {API}"
    assert json.loads(seen.body) == {
        "expires_after": {"anchor": "created_at", "seconds": 10},
        "session": TYPED.to_session(),
    }


@pytest.mark.parametrize(("refusals", "attempts"), [(1, 2), (2, 2)])
async def test_a_key_that_expired_on_the_way(
    raw_server: RawServer, refusals: int, attempts: int
) -> None:
    """F8: another one is minted, once; the second refusal is raised."""
    raw_server.reply = answer(200, {"value": MINTED})
    keys = EphemeralKeys(credentials=Credentials(API))
    fussy = Fussy(refusals)
    async with Client(credentials=keys, base_url=raw_server.url) as client:
        if refusals < 2:
            await client.start_session(TYPED, transport=fussy)
        else:
            with pytest.raises(AuthenticationError):
                await client.start_session(TYPED, transport=fussy)
    assert len(fussy.keys) == len(raw_server.seen) == attempts


@pytest.mark.parametrize("status", [401, 403])
async def test_who_may_not_mint_is_not_asked_again(
    raw_server: RawServer, status: int
) -> None:
    """Only a minted key can have expired on the way."""
    raw_server.reply = answer(status, {})
    keys = EphemeralKeys(credentials=Credentials(API))
    fussy = Fussy()
    async with Client(credentials=keys, base_url=raw_server.url) as client:
        with pytest.raises(AuthenticationError):
            await client.start_session(TYPED, transport=fussy)
    assert (len(raw_server.seen), fussy.keys) == (1, [])


async def test_what_is_forbidden_is_not_asked_again(raw_server: RawServer) -> None:
    """403 does not depend on the key's age."""
    raw_server.reply = answer(200, {"value": MINTED})
    keys = EphemeralKeys(credentials=Credentials(API))
    fussy = Fussy(1, status=403)
    async with Client(credentials=keys, base_url=raw_server.url) as client:
        with pytest.raises(AuthenticationError):
            await client.start_session(TYPED, transport=fussy)
    assert (len(raw_server.seen), fussy.keys) == (1, [MINTED])


async def test_a_key_of_ones_own_is_not_tried_twice() -> None:
    """There is no other key."""
    fussy = Fussy(1)
    async with Client(credentials=Credentials(API), base_url="http://x/v1") as client:
        with pytest.raises(AuthenticationError):
            await client.start_session(TYPED, transport=fussy)
    assert fussy.keys == [API]


@pytest.mark.parametrize(
    "body", [{"value": MINTED}, {"client_secret": {"value": MINTED}}]
)
async def test_an_endpoint_of_ones_own(raw_server: RawServer, body: Any) -> None:
    """With its headers; it may respond in the form of the beta."""
    raw_server.reply = answer(200, body)
    keys = TokenEndpoint(f"{raw_server.url}/token", headers={"X-User": "me"})
    fussy = Fussy()
    async with Client(credentials=keys, base_url="http://x/v1") as client:
        await client.start_session(TYPED, transport=fussy)
    assert fussy.keys == [MINTED]
    [seen] = raw_server.seen
    assert seen.headers["x-user"] == "me"
    assert "authorization" not in seen.headers
    assert json.loads(seen.body) == {"session": TYPED.to_session()}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"value": MINTED}, AuthenticationError),
        (500, {"value": MINTED}, SignallingError),
        (200, {"value": ""}, SignallingError),
        (200, {"value": 5}, SignallingError),
        (200, {"client_secret": MINTED}, SignallingError),
        (200, [MINTED], SignallingError),
        (302, {"value": MINTED}, SignallingError),
    ],
)
async def test_an_endpoint_that_gives_none(
    raw_server: RawServer, status: int, body: Any, error: type[Exception]
) -> None:
    """The message quotes nothing of the body."""
    raw_server.reply = answer(status, body)
    keys = TokenEndpoint(f"{raw_server.url}/token")
    with pytest.raises(error) as caught:
        await keys.fetch("http://x/v1", {}, 5.0)
    assert MINTED not in str(caught.value)


def test_a_key_in_a_file(tmp_path: Path) -> None:
    """The key is the whole file, readable by its owner only."""
    path = tmp_path / "key"
    path.write_text(f"{API}\n")
    path.chmod(0o600)
    assert Credentials.from_file(path) == Credentials(API)
    path.chmod(0o644)
    with pytest.raises(AuthenticationError, match="chmod 600"):
        Credentials.from_file(path)
    path.chmod(0o600)
    for text in ("", "two words"):
        path.write_text(text)
        with pytest.raises(AuthenticationError, match="one key"):
            Credentials.from_file(path)
    with pytest.raises(AuthenticationError, match="No such file"):
        Credentials.from_file(tmp_path / "none")


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable can be named."""
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", API)
    assert Credentials.from_environment() == Credentials(API)
    assert Credentials.from_environment("NO_SUCH_NAME") == Credentials("")


def test_a_life_that_no_key_has() -> None:
    """From 10 s to 2 h."""
    with pytest.raises(ValueError, match="7200"):
        EphemeralKeys(credentials=Credentials(API), lifetime=5)


def minting(works: bool) -> bytes:
    """A service that mints, or one that repeats the refused key."""
    if works:
        return answer(200, {"value": MINTED})
    return answer(401, {"error": {"message": f"Incorrect API key provided: {API}"}})


@pytest.mark.parametrize("works", [True, False])
async def test_no_key_shows_anywhere(
    raw_server: RawServer, tmp_path: Path, works: bool
) -> None:
    """In no repr, log line, traceback with locals, record or snapshot."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    path = tmp_path / "log.jsonl"
    shown: list[str] = []
    keys = EphemeralKeys(credentials=Credentials(API))
    raw_server.reply = minting(works)
    ours, theirs = pair()
    try:
        async with Client(credentials=keys, base_url=raw_server.url) as client:
            try:
                session = await client.start_session(
                    TYPED, id="s", transport=record(ours, path)
                )
                await session.send_text("hello")
                shown += [repr(theirs.target), repr(session)]
            except AuthenticationError as error:
                one = traceback.TracebackException.from_exception(
                    error, capture_locals=True
                )
                shown += ["".join(one.format()), str(error), repr(error)]
            shown += [repr(client.credentials), repr(vars(client))]
            shown += [dump(client.store.state).decode(), path.read_text()]
            shown += [repr(select_problems(client.get_session("s").state))]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    shown.append(said.getvalue())
    assert all(shown)
    for text in shown:
        assert API not in text
        assert MINTED not in text


CLOSED = "http://127.0.0.1:9/v1"


async def open_websocket(url: str) -> None:
    async with Client(credentials=Credentials(API), base_url=url) as client:
        await client.start_session(TYPED, transport=websocket())


async def open_call(url: str) -> None:
    async with Client(credentials=Credentials(API), base_url=url) as client:
        await client.start_session(TYPED, transport=webrtc())


async def mint(url: str) -> None:
    await EphemeralKeys(credentials=Credentials(API)).fetch(url, {}, 5.0)


async def ask_endpoint(url: str) -> None:
    # No local variable of this frame has the key.
    await TokenEndpoint(
        f"{url}/token", headers={"Authorization": f"Bearer {API}"}
    ).fetch("", {}, 5.0)


@pytest.mark.parametrize("attempt", [open_websocket, open_call, mint, ask_endpoint])
@pytest.mark.parametrize("answers", [False, True], ids=["closed", "breaks off"])
async def test_no_key_in_the_frames_of_a_failure(
    raw_server: RawServer, attempt: Callable[[str], Awaitable[None]], answers: bool
) -> None:
    """Crash reporters print the variables of all frames."""
    with pytest.raises(ConnectError) as caught:
        await attempt(raw_server.url if answers else CLOSED)
    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    text = "".join(shown.format())
    assert "url = " in text
    assert API not in text
