"""The service over HTTP on loopback, with an ordinary HTTP client."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from duologue.core.models import REALTIME, TRANSCRIPTION
from duologue.local import LocalService, Options, Parts, ServiceError
from duologue.local.server.calls import Calls
from duologue.local.server.keys import Keys
from duologue.local.server.session_factory import SessionFactory
from duologue.transports.drivers.webrtc.peer import Peer

KEY = {"Authorization": "Bearer made-up"}
SESSION = {"type": "realtime", "model": "some-model"}
TEXT = {**SESSION, "output_modalities": ["text"]}


@pytest.fixture
async def service() -> AsyncGenerator[LocalService]:
    async with LocalService(parts=Parts()) as service:
        yield service


@pytest.fixture
async def http(service: LocalService) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.base_url, headers=KEY) as client:
        yield client


class Caller:
    """A WebRTC client that collects the events it receives."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self._arrived = asyncio.Event()
        self.peer = Peer(
            on_message=self._take,
            on_audio=None,
            next_audio=None,
            on_closed=lambda _: self.closed.set(),
            loopback=True,
        )

    def _take(self, message: str | bytes) -> None:
        self.events.append(json.loads(message))
        self._arrived.set()

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while not (found := [e for e in self.events if e["type"] == kind]):
                self._arrived.clear()
                await self._arrived.wait()
        return found[-1]


@pytest.fixture
async def caller() -> AsyncGenerator[Caller]:
    caller = Caller()
    yield caller
    await caller.peer.close()


async def call(
    http: httpx.AsyncClient, caller: Caller, session: dict[str, Any]
) -> httpx.Response:
    """The unified form: multipart with the offer and the session."""
    answer = await http.post(
        "/realtime/calls",
        files={
            "sdp": (None, await caller.peer.offer(), "application/sdp"),
            "session": (None, json.dumps(session), "application/json"),
        },
    )
    if answer.status_code == 201:
        await caller.peer.accept(answer.text)
        await caller.peer.wait_open()
    return answer


async def test_a_call_by_form(http: httpx.AsyncClient, caller: Caller) -> None:
    """201 with the answer and `Location`; the session is as requested."""
    answer = await call(http, caller, TEXT)
    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith("application/sdp")
    assert answer.headers["server"] == "duologue-local"
    assert answer.headers["location"].startswith("/v1/realtime/calls/rtc_")
    created = await caller.until("session.created")
    assert created["session"]["model"] == "some-model"
    caller.peer.send('{"type": "response.create"}')
    done = await caller.until("response.done")
    assert done["response"]["metadata"] == {
        "duologue": "scripted, not a language model"
    }


async def test_the_candidates_are_loopback_only(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    answer = await call(http, caller, SESSION)
    candidates = [line for line in answer.text.splitlines() if "candidate:" in line]
    assert candidates
    assert {line.split()[4] for line in candidates} == {"127.0.0.1"}


async def test_a_call_by_bare_offer(
    service: LocalService, http: httpx.AsyncClient, caller: Caller
) -> None:
    """With an ephemeral key, the session is that of the key."""
    made = await http.post("/realtime/client_secrets", json={"session": TEXT})
    key = made.json()["value"]
    answer = await http.post(
        "/realtime/calls",
        content=await caller.peer.offer(),
        headers={"Content-Type": "application/sdp", "Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 201
    await caller.peer.accept(answer.text)
    created = await caller.until("session.created")
    assert created["session"]["output_modalities"] == ["text"]


async def test_a_hang_up_ends_the_call_once(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    answer = await call(http, caller, SESSION)
    path = answer.headers["location"].removeprefix("/v1") + "/hangup"
    assert (await http.post(path)).status_code == 200
    async with asyncio.timeout(5):
        await caller.closed.wait()
    again = await http.post(path)
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "call_id_not_found"


@pytest.mark.parametrize("action", ["accept", "reject", "refer", "hangup"])
async def test_an_unknown_call_has_the_code_that_clients_compare_with(
    http: httpx.AsyncClient, action: str
) -> None:
    """Also for requests about SIP calls, which the service does not have."""
    answer = await http.post(f"/realtime/calls/rtc_x/{action}", json={})
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "error": {
                "message": "No session found for the provided call_id: 'rtc_x'.",
                "type": "invalid_request_error",
                "param": None,
                "code": "call_id_not_found",
            }
        },
    )


async def test_the_known_models_are_listed(http: httpx.AsyncClient) -> None:
    """Those of the table; a client checks its key with this request."""
    answer = await http.get("/models")
    listed = answer.json()
    assert (answer.status_code, listed["object"]) == (200, "list")
    names = [each["id"] for each in listed["data"]]
    assert {REALTIME, TRANSCRIPTION} < set(names)
    assert len(names) == len(set(names))
    for each in listed["data"]:
        assert each == {
            "id": each["id"],
            "object": "model",
            "created": 0,
            "owned_by": "duologue",
        }
        shown = await http.get(f"/models/{each['id']}")
        assert (shown.status_code, shown.json()) == (200, each)


async def test_an_unknown_model_is_a_404(http: httpx.AsyncClient) -> None:
    answer = await http.get("/models/nobody")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        {
            "message": "The model 'nobody' does not exist.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
    )


async def test_the_models_need_a_key(service: LocalService) -> None:
    async with httpx.AsyncClient(base_url=service.base_url) as http:
        for path in ("/models", "/models/nobody"):
            assert (await http.get(path)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"expires_after": None, "session": None},
        {"expires_after": {"anchor": None, "seconds": None}},
    ],
)
async def test_a_null_of_a_secret_is_not_given(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    made, plain = [
        (await http.post("/realtime/client_secrets", json=each)).json()
        for each in (body, {})
    ]
    ids = {"id": None}
    assert made["session"] | ids == plain["session"] | ids
    assert made["expires_at"] == pytest.approx(plain["expires_at"], abs=1)


async def test_a_null_of_a_form_leaves_the_keys_value(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    """A null of the key's session, too, is not given."""
    session = {**TEXT, "instructions": "Be brief.", "tool_choice": None}
    made = await http.post("/realtime/client_secrets", json={"session": session})
    http.headers["Authorization"] = f"Bearer {made.json()['value']}"
    given = {"type": "realtime", "instructions": None, "output_modalities": None}
    assert (await call(http, caller, given)).status_code == 201
    shown = (await caller.until("session.created"))["session"]
    assert (shown["instructions"], shown["output_modalities"]) == (
        "Be brief.",
        ["text"],
    )
    assert (shown["tool_choice"], shown["model"]) == ("auto", "some-model")


async def test_an_ephemeral_key(http: httpx.AsyncClient) -> None:
    body = {
        "expires_after": {"anchor": "created_at", "seconds": 60},
        "session": TEXT,
    }
    made = (await http.post("/realtime/client_secrets", json=body)).json()
    assert made["value"].startswith("ek_")
    assert made["session"]["object"] == "realtime.session"
    assert made["session"]["id"].startswith("sess_")
    assert made["session"]["output_modalities"] == ["text"]
    plain = (await http.post("/realtime/client_secrets")).json()
    assert plain["expires_at"] - made["expires_at"] == pytest.approx(540, abs=2)


async def test_an_ephemeral_key_makes_no_other(http: httpx.AsyncClient) -> None:
    made = (await http.post("/realtime/client_secrets")).json()
    headers = {"Authorization": f"Bearer {made['value']}"}
    answer = await http.post("/realtime/client_secrets", headers=headers)
    assert answer.status_code == 401


def test_an_ephemeral_key_dies() -> None:
    now = [1000.0]
    keys = Keys("sk-right", lambda: now[0])
    secret = keys.mint({}, 10)
    assert secret.expires_at == 1010
    now[0] = 1009.9
    assert keys.ephemeral(secret.value) == secret
    now[0] = 1010.0
    assert keys.ephemeral(secret.value) is None
    assert not keys.is_api_key(secret.value)
    assert keys.is_api_key("sk-right")
    assert not keys.is_api_key("sk-wrong")


@pytest.mark.parametrize("seconds", [9, 7201, "60", True, 1.5])
async def test_the_life_of_a_key_has_limits(
    http: httpx.AsyncClient, seconds: object
) -> None:
    body = {"expires_after": {"anchor": "created_at", "seconds": seconds}}
    answer = await http.post("/realtime/client_secrets", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "expires_after.seconds"


@pytest.mark.parametrize(
    ("expires_after", "param"),
    [
        ("soon", "expires_after"),
        ({"anchor": "used_at", "seconds": 60}, "expires_after.anchor"),
    ],
)
async def test_the_life_of_a_key_is_told_in_one_way(
    http: httpx.AsyncClient, expires_after: object, param: str
) -> None:
    body = {"expires_after": expires_after}
    answer = await http.post("/realtime/client_secrets", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_offer_in_the_shape_of_the_beta_is_refused(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post(
        "/realtime?model=m", content="v=0", headers={"Content-Type": "application/sdp"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "beta_api_shape_disabled"


async def test_a_fault_of_ours_has_the_shape_of_the_service(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Keys, *args: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(Keys, "mint", broken)
    answer = await http.post("/realtime/client_secrets")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path", ["/realtime/calls", "/realtime/client_secrets", "/realtime/calls/x/hangup"]
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc"])
async def test_without_a_key_nothing_is_done(
    service: LocalService, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(base_url=service.base_url) as http:
        answer = await http.post(path, headers=headers)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


async def test_a_service_with_a_key_takes_no_other() -> None:
    async with LocalService(parts=Parts(), key="sk-right") as service:
        for key, status in (("sk-right", 200), ("sk-wrong", 401), ("ek_made_up", 401)):
            async with httpx.AsyncClient(
                base_url=service.base_url, headers={"Authorization": f"Bearer {key}"}
            ) as http:
                answer = await http.post("/realtime/client_secrets")
                assert answer.status_code == status


GARBAGE = ["", "v=0", "hello", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"]


@pytest.mark.parametrize("offer", GARBAGE)
async def test_an_offer_that_is_none_is_a_400(
    http: httpx.AsyncClient, offer: str
) -> None:
    answer = await http.post(
        "/realtime/calls",
        content=offer,
        headers={"Content-Type": "application/sdp"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_offer"


async def test_mutated_offers_never_break_it(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    """Each gets an answer or an error of the service; then a valid offer works."""
    lines = (await caller.peer.offer()).splitlines()
    chance = random.Random(5)
    for _ in range(40):
        text = "\r\n".join(_mutated(line, chance) for line in lines)
        answer = await http.post(
            "/realtime/calls",
            content=text.encode(),
            headers={"Content-Type": "application/sdp"},
        )
        assert answer.status_code in (201, 400)
        if answer.status_code == 201:
            path = answer.headers["location"].removeprefix("/v1")
            assert (await http.post(f"{path}/hangup")).status_code == 200


def _mutated(line: str, chance: random.Random) -> str:
    """One line changed, cut or removed; addresses stay."""
    if "127.0.0.1" in line or not line or chance.random() > 0.1:
        return line
    place = chance.randrange(len(line))
    letter = chr(chance.randint(32, 126))
    return chance.choice(
        [line[:place] + letter + line[place + 1 :], line[:place], "", line * 2]
    )


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"session": {}}, "missing_required_parameter", "session.type"),
        ({"sesion": {}}, "unknown_parameter", "sesion"),
        ({"session": 3}, "invalid_type", "session"),
        (
            {"session": {"type": "realtime", "model": "gpt-4o"}},
            "invalid_model",
            "session.model",
        ),
        (
            {"expires_after": {"seconds": 5}},
            "integer_below_min_value",
            "expires_after.seconds",
        ),
        (
            {"session": {"type": "realtime", "tools": [{"name": "add"}]}},
            "missing_required_parameter",
            "session.tools[0].type",
        ),
    ],
)
async def test_a_secret_is_for_a_session_that_could_be(
    http: httpx.AsyncClient, body: dict[str, Any], code: str, param: str
) -> None:
    answer = await http.post("/realtime/client_secrets", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)


@pytest.mark.parametrize("key", ["", " "])
def test_an_empty_key_locks_nobody_out(key: str) -> None:
    """The service refuses to start."""
    with pytest.raises(ServiceError, match="the key is empty"):
        LocalService(key=key)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"x" * 65_537, "type": "application/sdp"}, 413),
        ({"content": b"\xff\xfe", "type": "application/sdp"}, 400),
        ({"content": b"{}", "type": "application/json"}, 400),
        ({"content": b"--x", "type": "multipart/form-data"}, 400),
        ({"content": b"--x", "type": "multipart/form-data; boundary=x"}, 400),
        ({"content": b"x" * 300_000, "type": "multipart/form-data; boundary=x"}, 413),
    ],
)
async def test_a_body_that_is_wrong(
    http: httpx.AsyncClient, request_: dict[str, Any], status: int
) -> None:
    answer = await http.post(
        "/realtime/calls",
        content=request_["content"],
        headers={"Content-Type": request_["type"]},
    )
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ({"session": "{}"}, "sdp"),
        ({"sdp": "v=0", "session": "{"}, "session"),
        ({"sdp": "v=0", "session": "[]"}, "session"),
        ({"sdp": "v=0", "session": '{"type": "other"}'}, "session.type"),
        (
            {"sdp": "v=0", "session": '{"type": "realtime", "instructions": 1}'},
            "session.instructions",
        ),
        ({"sdp": "v=0", "session": "{}"}, "session.type"),
        ({"sdp": "v=0", "session": '{"model": "m"}'}, "session.type"),
        (
            {"sdp": "v=0", "session": '{"type": "transcription", "model": "m"}'},
            "session.model",
        ),
        ({"sdp": "v=0", "session": '{"type": "realtime"}'}, "sdp"),
        ({"sdp": "v=0"}, "sdp"),
    ],
)
async def test_a_form_that_is_wrong(
    http: httpx.AsyncClient, parts: dict[str, str], param: str
) -> None:
    files = {name: (None, value) for name, value in parts.items()}
    answer = await http.post("/realtime/calls", files=files)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_offer_may_come_as_a_file(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    """A form part with a file name, as browsers and curl send it."""
    offer = await caller.peer.offer()
    files = {"sdp": ("offer.sdp", offer, "application/sdp")}
    assert (await http.post("/realtime/calls", files=files)).status_code == 201


async def test_a_path_that_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.post("/chat/completions")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error == {
        "message": "Invalid URL (POST /v1/chat/completions)",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    # There is no redirect, because it would lose the offer.
    assert (await http.post("/realtime/calls/")).status_code == 404


async def test_a_method_that_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.get("/realtime/calls")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["message"] == (
        "Not allowed method for /v1/realtime/calls: GET"
    )


async def test_what_is_not_http_is_answered_in_the_shape_of_the_service(
    service: LocalService,
) -> None:
    port = httpx.URL(service.base_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1 what\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "origin",
    ["foo", "localhost:3000", "http://", "http://a/b", "http://a?b", "http://a:x", ""],
)
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    with pytest.raises(ServiceError, match="is not the origin of a page"):
        LocalService(allow_origins=[origin])


@pytest.mark.parametrize(
    "origin", ["http://a", "https://a:3000", "http://a/", "http://[::1]:80", "null"]
)
def test_an_origin_of_a_page_is_taken(origin: str) -> None:
    LocalService(allow_origins=[origin])


async def test_a_call_whose_channel_never_opens_is_dropped(caller: Caller) -> None:
    calls = Calls(SessionFactory(Parts(), Options()), loopback=True, open_timeout=0.2)
    await calls.answer(await caller.peer.offer(), {})
    assert len(calls) == 1
    async with asyncio.timeout(5):
        while len(calls):
            await asyncio.sleep(0.02)
    await calls.close()


async def test_a_caller_that_hangs_up_is_forgotten(caller: Caller) -> None:
    calls = Calls(SessionFactory(Parts(), Options()), loopback=True)
    _, answer = await calls.answer(await caller.peer.offer(), {})
    await caller.peer.accept(answer)
    await caller.until("session.created")
    await caller.peer.close()
    async with asyncio.timeout(5):
        while len(calls):
            await asyncio.sleep(0.02)
    await calls.close()


@pytest.fixture
async def connected(caller: Caller) -> AsyncGenerator[Calls]:
    """Calls with one active call."""
    calls = Calls(SessionFactory(Parts(), Options()), loopback=True)
    push_to_talk = {"audio": {"input": {"turn_detection": None}}}
    _, answer = await calls.answer(await caller.peer.offer(), push_to_talk)
    await caller.peer.accept(answer)
    await caller.until("session.created")
    yield calls
    await calls.close()


def long_item(item_id: str, characters: int) -> str:
    part = {"type": "input_text", "text": "a" * characters}
    item = {"id": item_id, "type": "message", "role": "user", "content": [part]}
    return json.dumps({"type": "conversation.item.create", "item": item})


@pytest.mark.parametrize(("times", "left"), [(20, 1), (200, 0)])
async def test_what_waits_for_a_client_that_does_not_read_is_bounded(
    connected: Calls,
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    left: int,
) -> None:
    """The limit is 8 MiB: the call survives 1 MB in the queue, not 10 MB."""

    async def deaf(chunk: object) -> None:
        pass

    caller.peer.send(long_item("long", 50_000))
    await caller.until("conversation.item.done")
    sctp = caller.peer._pc.sctp
    monkeypatch.setattr(sctp, "_receive_data_chunk", deaf)
    retrieve = {"type": "conversation.item.retrieve", "item_id": "long"}
    for _ in range(times):
        caller.peer.send(json.dumps(retrieve))
    async with asyncio.timeout(10):
        while caller.peer.buffered or len(connected) > left:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    assert len(connected) == left


@pytest.mark.parametrize(("times", "left"), [(8, 1), (9, 0)])
async def test_what_a_client_sends_at_once_is_bounded(
    connected: Calls, times: int, left: int
) -> None:
    """The queue of a data channel's events has a limit of 8 MiB."""
    [call] = connected._calls.values()
    for _ in range(times):
        call._put(" " * 1024 * 1024)
    async with asyncio.timeout(10):
        while call._waiting_size and len(connected):
            await asyncio.sleep(0.02)
    assert len(connected) == left


async def test_the_end_of_the_service_ends_its_calls() -> None:
    before = asyncio.all_tasks()
    caller = Caller()
    async with (
        LocalService(parts=Parts()) as service,
        httpx.AsyncClient(base_url=service.base_url, headers=KEY) as http,
    ):
        await call(http, caller, SESSION)
    async with asyncio.timeout(5):
        await caller.closed.wait()
    await caller.peer.close()
    assert asyncio.all_tasks() == before


async def test_a_port_in_use_is_one_line(service: LocalService) -> None:
    port = httpx.URL(service.base_url).port
    assert port is not None
    with pytest.raises(ServiceError) as caught:
        async with LocalService(port=port, parts=Parts()):
            pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use"
    )


@pytest.mark.parametrize(
    ("host", "port"),
    [("192.0.2.1", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1), ("not an address", 0)],
)
async def test_a_host_that_cannot_be_bound_is_one_line(
    host: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def lookup(name: str, *args: Any, **more: Any) -> Any:
        if name == "not an address":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(ServiceError, match=f"^cannot listen on {host}:{port}: .+$"):
        async with LocalService(host, port, parts=Parts()):
            pass


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """``import duologue.local`` works; a name that needs the extra raises."""
    import sys

    import duologue.local

    for name in (
        "duologue.local.server.service",
        "duologue.local.server.listener",
        "uvicorn",
    ):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ImportError, match=r"uvicorn.*duologue\[local\]"):
        duologue.local.LocalService  # noqa: B018
