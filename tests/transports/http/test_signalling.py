"""Signalling over HTTP, against real servers on loopback."""

from __future__ import annotations

import asyncio
import socket
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from duologue.transports.errors import (
    AuthenticationError,
    ConnectTimeout,
    DuologueError,
    ServiceUnreachable,
    SignallingError,
)
from duologue.transports.http.signalling import (
    BODY_LIMIT,
    Answer,
    create_call,
    create_key,
    fetch_key,
    hang_up,
    is_loopback,
    websocket_url,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Kit, RawServer

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"
ANSWER = "v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\n"
KEY = "sk-very-private-0123456789"


def reply(status: str, body: bytes | str = b"", **headers: str) -> bytes:
    """The bytes of an HTTP response."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(data)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


CREATED = reply("201 Created", ANSWER, location="/v1/realtime/calls/rtc_u1-A_b")


# Requests.

#: The query and the parts of the request with the offer alone, and of the form.
BARE = ("model=a-model", [("body", "application/sdp", OFFER)])
FORM = (
    "",
    [
        ("sdp", "application/sdp", OFFER),
        (
            "session",
            "application/json",
            '{"type": "realtime", "model": "a-model"}',
        ),
    ],
)


@pytest.mark.parametrize(
    ("key", "form_status", "requests", "configured"),
    [
        pytest.param("ek_short_lived", 201, [BARE], False, id="ephemeral"),
        pytest.param(KEY, 201, [FORM], True, id="API key"),
        pytest.param(KEY, 415, [FORM, BARE], False, id="no form"),
    ],
)
async def test_the_key_and_the_service_decide_the_form(
    kit: type[Kit], key: str, form_status: int, requests: list[Any], configured: bool
) -> None:
    """Ephemeral: the SDP is the body. API key: a form with the session.

    If the service takes no form (415), the SDP alone follows.
    """
    seen: list[object] = []

    async def calls(request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {key}"
        kind = request.headers["content-type"]
        query = request.url.query
        if not kind.startswith("multipart/form-data"):
            body = (await request.body()).decode()
            seen.append((query, [("body", kind, body)]))
            status = 201
        else:
            body = (await request.body()).decode()
            parts = [_part(text) for text in body.split("--" + kind[30:])[1:-1]]
            seen.append((query, parts))
            status = form_status
        return Response(ANSWER, status, {"Location": "/v1/realtime/calls/rtc_1"})

    route = Route("/v1/realtime/calls", calls, methods=["POST"])
    async with kit.serving(Starlette(routes=[route])) as url:
        answer = await create_call(kit.target(url, key=key), OFFER)
    assert answer == Answer(ANSWER, "rtc_1", configured)
    assert seen == requests


def _part(text: str) -> tuple[str, str, str]:
    """Name, type and content of one part of a form."""
    text = text.removeprefix("\r\n").removesuffix("\r\n")
    head, _, content = text.partition("\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n"))
    name = fields["Content-Disposition"].removeprefix('form-data; name="')[:-1]
    return name, fields["Content-Type"], content


# Responses.


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_u1-A_b", "rtc_u1-A_b"),
        ("https://api.example/v1/realtime/calls/rtc_9?x=1", "rtc_9"),
        ("/v1/realtime/calls/rtc_9/", "rtc_9"),
        ("/v1/realtime/calls/" + "rtc_" + "x" * 128, "rtc_" + "x" * 128),
        ("/v1/realtime/calls/" + "rtc_" + "x" * 129, None),
        ("/v1/realtime/calls/rtc_", None),
        ("/v1/realtime/calls/sess_1", None),
        ("/v1/realtime/calls/rtc_a%2Fb", None),
        ("/v1/realtime/calls/rtc_1/../../admin", None),
        ("", None),
        ("http://[", None),
    ],
)
async def test_the_call_id_is_the_end_of_the_location(
    kit: type[Kit], raw_server: RawServer, location: str, call_id: str | None
) -> None:
    """An id that is unsafe in a URL is ignored."""
    raw_server.reply = reply("201 Created", ANSWER, location=location)
    answer = await create_call(kit.target(raw_server.url), OFFER)
    assert answer == Answer(sdp=ANSWER, call_id=call_id)


async def test_200_is_tolerated_and_the_location_may_lack(
    kit: type[Kit], raw_server: RawServer
) -> None:
    """Compatible servers respond like this."""
    raw_server.reply = reply("200 OK", ANSWER)
    answer = await create_call(kit.target(raw_server.url), OFFER)
    assert answer == Answer(sdp=ANSWER, call_id=None)


SAID = '{"error": {"message": "no\\nmoney\\u001b[31m", "type": "quota", "code": null}}'


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        pytest.param(
            reply("401 Unauthorized", SAID),
            AuthenticationError,
            "the service refused the key (401): no money [31m",
            id="401",
        ),
        pytest.param(
            reply("403 Forbidden"),
            AuthenticationError,
            "the service refused the key (403): an empty body",
            id="403",
        ),
        pytest.param(
            reply("401 Unauthorized", f'{{"error": {{"message": "bad key {KEY}"}}}}'),
            AuthenticationError,
            "the service refused the key (401): bad key ***",
            id="the key repeated",
        ),
        pytest.param(
            reply("429 Too Many Requests", SAID),
            SignallingError,
            "the service refused (429): no money [31m",
            id="429",
        ),
        pytest.param(
            reply("500 No", "<html>\n<h1>Oops</h1>", content_type="text/html"),
            SignallingError,
            "the service refused (500): text/html: <html> <h1>Oops</h1>",
            id="HTML",
        ),
        pytest.param(
            reply("502 No", '{"error": "x"}', content_type="application/json"),
            SignallingError,
            'the service refused (502): application/json: {"error": "x"}',
            id="another shape of error",
        ),
        pytest.param(
            reply("503 No", "[" * 60_000),
            SignallingError,
            "the service refused (503): no content type: " + "[" * 182 + "…",
            id="nested for ever",
        ),
        pytest.param(
            reply("307 No", location="http://127.0.0.1:9/"),
            SignallingError,
            "the service redirects (307), which is not followed: check the base URL",
            id="redirect",
        ),
        pytest.param(
            reply("201 Created", "hello\x00there", content_type="text/plain"),
            SignallingError,
            "the service answered the offer with text/plain: hello there, "
            "not with an SDP answer",
            id="not an SDP",
        ),
        pytest.param(
            reply("201 Created"),
            SignallingError,
            "the service answered the offer with an empty body, not with an SDP answer",
            id="empty",
        ),
        pytest.param(
            reply("200 OK", SAID),
            SignallingError,
            "the service answered the offer with no money [31m, not with an SDP answer",
            id="an error as success",
        ),
        pytest.param(
            reply("201 Created", "v=0" + "x" * BODY_LIMIT),
            SignallingError,
            "the service answered with more than 65536 bytes",
            id="too large",
        ),
    ],
)
async def test_a_refusal_says_why_in_one_line(
    kit: type[Kit],
    raw_server: RawServer,
    response: bytes,
    kind: type[SignallingError],
    message: str,
) -> None:
    """Status and body give an error without the key."""
    raw_server.reply = response
    with pytest.raises(SignallingError) as caught:
        await create_call(kit.target(raw_server.url, key=KEY), OFFER)
    assert (type(caught.value), str(caught.value)) == (kind, message)
    assert caught.value.status == int(response.split()[1])
    assert len(raw_server.seen) == 1


@pytest.mark.parametrize(
    "response",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\nv=0"],
    ids=["closed", "not HTTP", "cut off"],
)
async def test_a_broken_exchange_is_a_signalling_error(
    kit: type[Kit], raw_server: RawServer, response: bytes
) -> None:
    """The message names the place; there is no status."""
    raw_server.reply = response
    with pytest.raises(SignallingError, match="broke off: ") as caught:
        await create_call(kit.target(raw_server.url), OFFER)
    assert f"127.0.0.1:{raw_server.port}" in str(caught.value)
    assert caught.value.status is None


async def test_a_compressed_body_is_not_unpacked(
    kit: type[Kit], raw_server: RawServer
) -> None:
    """A small body cannot expand in memory: no compression is accepted."""
    raw_server.reply = reply("201 Created", b"\x1f\x8b", content_encoding="gzip")
    with pytest.raises(SignallingError, match="not with an SDP answer"):
        await create_call(kit.target(raw_server.url), OFFER)
    assert raw_server.seen[0].headers["accept-encoding"] == "identity"


async def test_nobody_listens(kit: type[Kit]) -> None:
    """A refused connection names host and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ServiceUnreachable) as caught:
            await create_call(kit.target(f"http://127.0.0.1:{port}/v1"), OFFER)
    assert str(caught.value).startswith(f"nothing answers at 127.0.0.1:{port} (")


@pytest.mark.parametrize("drip", [False, True], ids=["silence", "drip"])
async def test_a_slow_service_ends_by_the_timeout(
    kit: type[Kit], raw_server: RawServer, drip: bool
) -> None:
    """The timeout covers the whole exchange, also a slow body."""

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 9999\r\n\r\n" * drip)
        while True:
            writer.write(b"v" * drip)
            await writer.drain()
            await asyncio.sleep(0.02)

    raw_server.reply = slow
    with pytest.raises(ConnectTimeout) as caught:
        await create_call(kit.target(raw_server.url, timeout=0.2), OFFER)
    place = f"127.0.0.1:{raw_server.port}"
    assert str(caught.value) == f"the service at {place} did not answer within 0.2 s"


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "the base URL is blank"),
        ("http://127.0.0.1/v1#x", "the base URL must not contain a fragment (#…)"),
        ("/v1", "the base URL must begin with http:// or https://"),
        ("ftp://127.0.0.1/v1", "the base URL must begin with http:// or https://"),
        ("http:///v1", "the base URL must begin with http:// or https://"),
        ("http://127.0.0.1:none/v1", "invalid base URL: Invalid port: 'none'"),
    ],
)
async def test_what_is_no_url_is_named(
    kit: type[Kit], base_url: str, message: str
) -> None:
    """An invalid base URL fails before anything is sent."""
    with pytest.raises(SignallingError) as caught:
        await create_call(kit.target(base_url), OFFER)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        (
            "https://me:hunter2@127.0.0.1/v1",
            "must not contain a user or a password",
        ),
        ("http://hunter2@127.0.0.1/v1", "must not contain a user or a password"),
        ("http://192.0.2.1/v1", "begin with https: the key would be sent to 192.0.2.1"),
        ("http://localhost.example/v1", "the base URL must begin with https"),
    ],
)
async def test_a_key_goes_in_clear_to_this_machine_only(
    kit: type[Kit], base_url: str, message: str
) -> None:
    """Every request is refused before sending; no password is quoted."""
    target = kit.target(base_url)
    for asking in (
        create_call(target, OFFER),
        create_key(target, 60),
        hang_up(target, "rtc_1"),
        fetch_key(base_url, {}, {}, 1.0),
    ):
        with pytest.raises(SignallingError, match=message) as caught:
            await asking
        assert "hunter2" not in str(caught.value)
    with pytest.raises(SignallingError, match=message):
        websocket_url(base_url, {})


@pytest.mark.parametrize("key", ["sk-\r\nX-Evil: 1", "sk-\u00e9", "sk- x", "sk-\0"])
async def test_a_key_that_no_header_can_carry(
    kit: type[Kit], raw_server: RawServer, key: str
) -> None:
    """It is refused without quoting it, and nothing is sent."""
    with pytest.raises(AuthenticationError) as caught:
        await create_call(kit.target(raw_server.url, key=key), OFFER)
    assert str(caught.value) == "the key has characters that are invalid in a header"
    assert raw_server.seen == []


async def test_no_key(kit: type[Kit], raw_server: RawServer) -> None:
    """The message explains how to set one, and nothing is sent."""
    with pytest.raises(AuthenticationError) as caught:
        await create_call(kit.target(raw_server.url, key=""), OFFER)
    assert str(caught.value) == "there is no key: set OPENAI_API_KEY, or pass one"


async def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    kit: type[Kit], raw_server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local service is reached with any proxy variable."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    raw_server.reply = CREATED
    answer = await create_call(kit.target(raw_server.url), OFFER)
    assert answer == Answer(sdp=ANSWER, call_id="rtc_u1-A_b")


async def test_an_unusable_proxy_is_named(
    kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown kind of proxy gives a one-line message."""
    monkeypatch.setenv("https_proxy", "nonsense://127.0.0.1:9")
    with pytest.raises(SignallingError, match=r"^cannot send a request to 192\.0\.2"):
        await create_call(kit.target("https://192.0.2.9/v1"), OFFER)


# Hanging up.


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "404 Not Found"])
async def test_hanging_up(kit: type[Kit], raw_server: RawServer, status: str) -> None:
    """A POST without a body; an ended call is accepted."""
    raw_server.reply = reply(status)
    await hang_up(kit.target(raw_server.url, key=KEY), "rtc_1")
    [seen] = raw_server.seen
    assert seen.line == "POST /v1/realtime/calls/rtc_1/hangup HTTP/1.1"
    assert (seen.headers["authorization"], seen.body) == (f"Bearer {KEY}", b"")


async def test_hanging_up_is_refused(kit: type[Kit], raw_server: RawServer) -> None:
    """Other responses raise the same errors."""
    raw_server.reply = reply("500 No", SAID)
    with pytest.raises(SignallingError, match=r"^the service refused \(500\): no mon"):
        await hang_up(kit.target(raw_server.url), "rtc_1")


async def test_only_an_id_is_put_into_a_url(
    kit: type[Kit], raw_server: RawServer
) -> None:
    """An invalid call id is refused."""
    with pytest.raises(SignallingError, match="invalid call id"):
        await hang_up(kit.target(raw_server.url), "rtc_1/../../admin")
    assert raw_server.seen == []


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://192.0.2.2/v1", False),
        ("http://localhost.example/v1", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, is_it: bool) -> None:
    """Only loopback addresses and ``localhost``."""
    assert is_loopback(url) is is_it


@pytest.mark.parametrize(
    "response", [reply("401 No", SAID), b"", reply("201 Created", KEY)]
)
async def test_no_error_holds_the_key(
    kit: type[Kit], raw_server: RawServer, response: bytes
) -> None:
    """Neither the message nor the chain of causes."""
    raw_server.reply = response
    target = kit.target(raw_server.url, key=KEY)
    with pytest.raises(DuologueError) as caught:
        await create_call(target, OFFER)
    assert KEY not in "".join(traceback.format_exception(caught.value))
