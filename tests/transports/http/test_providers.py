"""Providers: their URLs, headers and answers are those of their documentation.

Documentation, as stored copies in the summer and autumn of 2026 had it:

* OPENAI_API: the API reference "Realtime" of OpenAI, openai-openapi of 2026-08-21.
* AZURE_WEBRTC: Microsoft Learn, "Use the GPT Realtime API via WebRTC", ms.date
  01/29/2026 (MicrosoftDocs/azure-ai-docs,
  articles/foundry/openai/how-to/realtime-audio-webrtc.md).
* AZURE_WEBSOCKET: Microsoft Learn, "Use the GPT Realtime API via WebSockets", ms.date
  01/29/2026 (realtime-audio-websockets.md in the same folder).
* XAI_AGENT, XAI_TOKENS, XAI_REST: docs.x.ai, "Voice Agent API", "Ephemeral Tokens", and
  "Voice" of the inference API reference; these pages have no date of their own.

None of this was tried against a real service.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from duologue.core import SessionConfig
from duologue.transports import (
    PROVIDERS,
    AuthenticationError,
    Client,
    ConnectError,
    ConnectTimeout,
    Credentials,
    DuologueError,
    EphemeralKeys,
    KeySource,
    Provider,
    SignallingError,
    Target,
    TokenFunction,
    webrtc,
    websocket,
)
from duologue.transports.client.client import default_config
from duologue.transports.http.http_client import address, identification
from duologue.transports.http.providers import (
    AZURE,
    AZURE_PREVIEW,
    OPENAI,
    PLAIN,
    XAI,
    find_provider,
)
from duologue.transports.http.signalling import create_call, create_key, websocket_url

from ..front_door import Door, opened

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit, RawServer

DOCS = Path(__file__).parents[3] / "docs"
SESSION = {"type": "realtime", "model": "gpt-realtime"}
RESOURCE = "https://my-eastus2-openai-resource.openai.azure.com"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in PROVIDERS.values():
        monkeypatch.delenv(each.base_url_variable, raising=False)
        monkeypatch.delenv(each.key_variable, raising=False)
    monkeypatch.delenv("DUOLOGUE_PROVIDER", raising=False)
    monkeypatch.delenv("DUOLOGUE_MODEL", raising=False)


# The documented URLs.


@pytest.mark.parametrize(
    ("url", "documented"),
    [
        pytest.param(
            OPENAI.session_url("https://api.openai.com/v1", SESSION),
            "https://api.openai.com/v1/realtime?model=gpt-realtime",
            id="OPENAI_API, session",
        ),
        pytest.param(
            OPENAI.session_url("https://api.openai.com/v1", {"type": "transcription"}),
            "https://api.openai.com/v1/realtime?intent=transcription",
            id="OPENAI_API, transcription",
        ),
        pytest.param(
            OPENAI.sideband_url("https://api.openai.com/v1", "rtc_1"),
            "https://api.openai.com/v1/realtime?call_id=rtc_1",
            id="OPENAI_API, sideband",
        ),
        pytest.param(
            OPENAI.calls_url("https://api.openai.com/v1"),
            "https://api.openai.com/v1/realtime/calls",
            id="OPENAI_API, call",
        ),
        pytest.param(
            OPENAI.hang_up_url("https://api.openai.com/v1", "rtc_1"),
            "https://api.openai.com/v1/realtime/calls/rtc_1/hangup",
            id="OPENAI_API, hang up",
        ),
        pytest.param(
            OPENAI.keys_url("https://api.openai.com/v1"),
            "https://api.openai.com/v1/realtime/client_secrets",
            id="OPENAI_API, key",
        ),
        pytest.param(
            AZURE.session_url(RESOURCE, {"model": "gpt-realtime-deployment-name"}),
            f"{RESOURCE}/openai/v1/realtime?model=gpt-realtime-deployment-name",
            id="AZURE_WEBSOCKET, GA version",
        ),
        pytest.param(
            AZURE_PREVIEW.session_url(
                RESOURCE, {"model": "gpt-4o-mini-realtime-preview-deployment-name"}
            ),
            f"{RESOURCE}/openai/realtime?api-version=2025-04-01-preview"
            "&deployment=gpt-4o-mini-realtime-preview-deployment-name",
            id="AZURE_WEBSOCKET, Preview version",
        ),
        pytest.param(
            AZURE.keys_url(RESOURCE + "/"),
            f"{RESOURCE}/openai/v1/realtime/client_secrets",
            id="AZURE_WEBRTC, step 1",
        ),
        pytest.param(
            AZURE.calls_url(RESOURCE + "/openai/v1/", {"model": "a-deployment"}),
            f"{RESOURCE}/openai/v1/realtime/calls",
            id="AZURE_WEBRTC, step 2",
        ),
        pytest.param(
            AZURE.calls_url(RESOURCE + "/openai/v1?webrtcfilter=on"),
            f"{RESOURCE}/openai/v1/realtime/calls?webrtcfilter=on",
            id="AZURE_WEBRTC, filter",
        ),
        pytest.param(
            AZURE.sideband_url(RESOURCE, "rtc_abc123"),
            f"{RESOURCE}/openai/v1/realtime?call_id=rtc_abc123",
            id="AZURE_WEBRTC, step 3",
        ),
        pytest.param(
            XAI.session_url(XAI.find_base_url(), {"model": XAI.model}),
            "https://api.x.ai/v1/realtime?model=grok-voice-latest",
            id="XAI_AGENT, quick start",
        ),
        pytest.param(
            XAI.keys_url(XAI.find_base_url()),
            "https://api.x.ai/v1/realtime/client_secrets",
            id="XAI_TOKENS",
        ),
    ],
)
def test_the_urls_of_the_documentation(url: str, documented: str) -> None:
    """They are written with ``wss`` there, if they are those of a WebSocket."""
    assert url == documented


# A fake of each provider's endpoints.


@attrs.frozen
class Talk:
    """A session, and what the provider documents for it.

    ``requests`` are lines and the header that authenticates; ``key_request`` is the
    body of the request for a key, and ``key`` the answer to it.
    """

    provider: str
    base: str
    make: Callable[[], Any]
    keys: KeySource
    requests: list[tuple[str, str]]
    key: dict[str, Any] = attrs.Factory(dict)
    key_request: Any = None


def minted(source: KeySource) -> EphemeralKeys:
    return EphemeralKeys(credentials=source, lifetime=300)


ENTRA = TokenFunction(lambda: "an.entra.token")
WHOLE = {
    "type": "realtime",
    "model": "a-model",
    "instructions": "You are a helpful assistant.",
}
CONFIG = attrs.evolve(
    SessionConfig.changing(),
    model="a-model",
    instructions="You are a helpful assistant.",
)
TALKS = {
    "OPENAI_API: a key in the form": Talk(
        "openai",
        "/v1",
        webrtc,
        Credentials("sk-1"),
        [("POST /v1/realtime/calls", "authorization: Bearer sk-1")],
    ),
    "OPENAI_API: an ephemeral key": Talk(
        "openai",
        "/v1",
        webrtc,
        minted(Credentials("sk-1")),
        [
            ("POST /v1/realtime/client_secrets", "authorization: Bearer sk-1"),
            (
                "POST /v1/realtime/calls?model=a-model",
                "authorization: Bearer ek_1234",
            ),
        ],
        {"value": "ek_1234", "expires_at": 1790000000},
        {
            "expires_after": {"anchor": "created_at", "seconds": 300},
            "session": WHOLE,
        },
    ),
    "AZURE_WEBSOCKET: api-key header": Talk(
        "azure",
        "",
        websocket,
        Credentials("0123abcd"),
        [("GET /openai/v1/realtime?model=a-model", "api-key: 0123abcd")],
    ),
    "AZURE_WEBSOCKET: Entra": Talk(
        "azure",
        "",
        websocket,
        ENTRA,
        [
            (
                "GET /openai/v1/realtime?model=a-model",
                "authorization: Bearer an.entra.token",
            )
        ],
    ),
    "AZURE_WEBSOCKET: Preview version": Talk(
        "azure-preview",
        "",
        websocket,
        Credentials("0123abcd"),
        [
            (
                "GET /openai/realtime?api-version=2025-04-01-preview"
                "&deployment=a-model",
                "api-key: 0123abcd",
            )
        ],
    ),
    "AZURE_WEBRTC: a key of Entra": Talk(
        "azure",
        "",
        webrtc,
        minted(ENTRA),
        [
            (
                "POST /openai/v1/realtime/client_secrets",
                "authorization: Bearer an.entra.token",
            ),
            ("POST /openai/v1/realtime/calls", "authorization: Bearer an.ephemeral"),
        ],
        {"value": "an.ephemeral"},
        {
            "expires_after": {"anchor": "created_at", "seconds": 300},
            "session": WHOLE,
        },
    ),
    "XAI_AGENT: quick start": Talk(
        "xai",
        "/v1",
        websocket,
        Credentials("xai-1"),
        [("GET /v1/realtime?model=a-model", "authorization: Bearer xai-1")],
    ),
    "XAI_REST: a client secret": Talk(
        "xai",
        "/v1",
        websocket,
        minted(Credentials("xai-1")),
        [
            ("POST /v1/realtime/client_secrets", "authorization: Bearer xai-1"),
            (
                "GET /v1/realtime?model=a-model",
                "authorization: Bearer xai-realtime-client-secret-abc123",
            ),
        ],
        {
            "value": "xai-realtime-client-secret-abc123",
            "expires_at": 1750000000,
        },
        # "Does not support "session" or "expires_after.anchor" fields" (XAI_TOKENS)
        {"expires_after": {"seconds": 300}},
    ),
    "a plain service without a key": Talk(
        "plain",
        "/api",
        websocket,
        Credentials(""),
        [("GET /api/realtime?model=a-model", "")],
    ),
}


def authentication(headers: dict[str, str]) -> str:
    """The headers that may carry a key."""
    names = ("authorization", "api-key", "x-acme-key")
    return ", ".join(f"{name}: {headers[name]}" for name in names if name in headers)


def seen(door: Door) -> list[tuple[str, str]]:
    return [*zip(door.requests, map(authentication, door.headers), strict=True)]


@pytest.mark.realtime
@pytest.mark.parametrize("talk", TALKS.values(), ids=list(TALKS))
async def test_each_provider_gets_what_it_documents(
    kit: type[Kit], make_end: Callable[..., End], talk: Talk
) -> None:
    """The lines, the keys and the answers; and the whole configuration arrives."""
    async with (
        opened(kit, make_end, key=talk.key) as door,
        Client(
            provider=talk.provider,
            base_url=door.origin + talk.base,
            credentials=talk.keys,
        ) as client,
    ):
        await client.start_session(CONFIG, transport=talk.make())
        async with asyncio.timeout(10):
            while door.calls[-1].session != WHOLE:
                await asyncio.sleep(0.001)
    assert seen(door) == talk.requests
    assert door.key_requests == ([] if talk.key_request is None else [talk.key_request])


@pytest.mark.realtime
async def test_a_new_provider_in_ten_lines(
    kit: type[Kit], make_end: Callable[..., End], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the docs, against a fake of that provider."""
    page = (DOCS / "providers.md").read_text(encoding="utf-8")
    section = page.partition("## A new provider in ten lines")[2]
    [code] = re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)
    statement = code[code.index("acme = ") : code.index("print(")]
    assert len(statement.splitlines()) == 10
    names: dict[str, Any] = {}
    exec(code, names)
    monkeypatch.setenv("ACME_API_KEY", "acme-1")
    async with (
        opened(kit, make_end) as door,
        Client(provider=names["acme"], base_url=f"{door.origin}/api") as client,
    ):
        config = attrs.evolve(CONFIG, model=None)
        await client.start_session(config, transport=websocket())
    assert seen(door) == [
        ("GET /api/realtime?version=3&engine=acme-voice", "x-acme-key: acme-1")
    ]
    assert door.calls[-1].session == {**WHOLE, "model": "acme-voice"}


# The base URL.


def test_the_option_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the URL, the key, the model, and the provider itself."""
    assert Client().base_url == "https://api.openai.com/v1"
    assert Client(provider="xai").base_url == "https://api.x.ai/v1"
    monkeypatch.setenv("DUOLOGUE_PROVIDER", "xai")
    monkeypatch.setenv("XAI_API_KEY", "xai-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("XAI_BASE_URL", "https://eu.x.example/v1/")
    client = Client()
    assert (client.provider, client.base_url) == (XAI, "https://eu.x.example/v1")
    assert client.credentials == Credentials("xai-1")
    assert default_config(None, XAI).model == "grok-voice-latest"
    assert Client(provider="openai").credentials == Credentials("sk-1")
    client = Client(base_url="https://us.x.example", credentials=Credentials("xai-2"))
    assert client.base_url == "https://us.x.example"
    assert client.credentials == Credentials("xai-2")
    monkeypatch.setenv("DUOLOGUE_MODEL", "another")
    assert default_config(None, XAI).model == "another"
    assert default_config(SessionConfig(model="mine"), XAI).model == "mine"


def test_the_path_of_azure_is_added_to_a_resource_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also to that of the environment; a gateway may have another one."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://my.openai.azure.com/")
    assert AZURE.find_base_url() == "https://my.openai.azure.com/openai/v1"
    assert AZURE_PREVIEW.find_base_url() == "https://my.openai.azure.com/openai"
    assert AZURE.find_base_url("https://gw.example/x") == "https://gw.example/x"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://gw.example/v1?tenant=7", "/v1/realtime?tenant=7&model=m"),
        ("https://gw.example/v1/?tenant=7&x=", "/v1/realtime?tenant=7&x=&model=m"),
        ("https://gw.example?version=4", "/realtime?version=4&model=m"),
        ("https://gw.example/a%20b?q=%26", "/a%20b/realtime?q=%26&model=m"),
        ("https://gw.example/v1?model=other", "/v1/realtime?model=m"),
    ],
)
def test_a_base_url_with_a_query(base_url: str, url: str) -> None:
    """Its parameters stay, before those of the request."""
    assert PLAIN.session_url(base_url, {"model": "m"}) == f"https://gw.example{url}"


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "the base URL is blank"),
        (" \t", "the base URL is blank"),
        ("https://h.example/v1#top", "the base URL must not contain a fragment (#…)"),
        ("h.example/v1", "the base URL must begin with http:// or https://"),
        (
            "https://me:hunter2@h.example/v1",
            "the base URL must not contain a user or a password",
        ),
    ],
)
async def test_a_base_url_that_is_none(base_url: str, message: str) -> None:
    """One line, from whatever takes it."""
    target = Target(base_url=base_url, credentials=Credentials("sk-1"), session=SESSION)
    for asking in (
        create_call(target, "v=0"),
        create_key(target, 60),
        websocket().connect(target),
    ):
        with pytest.raises(SignallingError) as caught:
            await asking
        assert str(caught.value) == message
    with pytest.raises(SignallingError) as caught:
        websocket_url(base_url, {})
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", None])
def test_a_client_has_no_blank_base_url(
    monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """The message names the variable. An empty variable is not set."""
    if name is not None:
        monkeypatch.setenv(name, "")
        assert Client().base_url == OPENAI.base_url
        monkeypatch.setenv(name, "  ")
    with pytest.raises(SignallingError) as caught:
        Client(base_url=None if name else "")
    assert str(caught.value) == f"{name or 'the base URL'} is blank"


def test_a_provider_without_a_default() -> None:
    """The message says what to set."""
    with pytest.raises(SignallingError) as caught:
        Client(provider="azure")
    assert str(caught.value) == (
        "the provider azure needs a base URL: set AZURE_OPENAI_ENDPOINT, or pass one"
    )
    with pytest.raises(DuologueError, match="set DUOLOGUE_MODEL"):
        default_config(None, AZURE)


def test_an_unknown_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists the known ones, and names the variable."""
    known = "known are openai, azure, azure-preview, xai, local, plain"
    with pytest.raises(ValueError, match=f"^unknown provider 'azur'; {known}$"):
        find_provider("azur")
    monkeypatch.setenv("DUOLOGUE_PROVIDER", "x")
    with pytest.raises(ValueError, match=r"^DUOLOGUE_PROVIDER: unknown "):
        Client()
    assert find_provider(XAI) is XAI


async def test_what_a_provider_does_not_have() -> None:
    """The message says what to use instead."""
    target = Target(
        base_url="https://api.x.ai/v1",
        credentials=Credentials("xai-1"),
        session=SESSION,
        provider=XAI,
    )
    message = "the provider xai has no calls over WebRTC: use WebSocket"
    with pytest.raises(SignallingError) as caught:
        await create_call(target, "v=0")
    assert str(caught.value) == message
    with pytest.raises(SignallingError) as caught:
        XAI.hang_up_url("https://api.x.ai/v1", "rtc_1")
    assert str(caught.value) == message
    with pytest.raises(SignallingError) as caught:
        AZURE_PREVIEW.keys_url(RESOURCE)
    assert str(caught.value) == "the provider azure-preview has no ephemeral keys"


# Headers and query.


def target(provider: Provider, **options: Any) -> Target:
    fields = {
        "base_url": "https://h.example/v1",
        "credentials": Credentials("canary-key"),
        "session": SESSION,
        "provider": provider,
        **options,
    }
    return Target(**fields)


def test_added_headers_and_query() -> None:
    """Those of the target win; the key and the pseudonym win over both."""
    provider = attrs.evolve(
        OPENAI,
        headers={"OpenAI-Project": "proj_1", "authorization": "mine", "A": "1"},
        query={"a": "1", "b": "1"},
    )
    found = target(
        provider,
        headers={"A": "2"},
        query={"b": "2", "c": "2"},
        safety_identifier="user-1",
    )
    assert dict(identification(found)) == {
        "OpenAI-Project": "proj_1",
        "A": "2",
        "Authorization": "Bearer canary-key",
        "OpenAI-Safety-Identifier": "user-1",
    }
    url = address(found, provider.calls_url(found.base_url))
    assert url == "https://h.example/v1/realtime/calls?a=1&b=2&c=2"


def test_a_service_without_a_key_keeps_the_header_of_a_gateway() -> None:
    """A plain provider sends a key only if there is one."""
    provider = attrs.evolve(PLAIN, headers={"Authorization": "Basic abc"})
    found = target(provider, credentials=provider.credentials())
    assert dict(identification(found)) == {"Authorization": "Basic abc"}
    found = target(provider)
    assert dict(identification(found)) == {"Authorization": "Bearer canary-key"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"bad name": "x"}, "invalid name of a header: 'bad name'"),
        ({"X-A": "canary\r\nX-B: 1"}, "the value of the header X-A is not valid"),
        ({"X-A": "canary-é"}, "the value of the header X-A is not valid"),
    ],
)
def test_an_invalid_header(headers: dict[str, str], message: str) -> None:
    """It is refused without its value."""
    with pytest.raises(SignallingError) as caught:
        identification(target(OPENAI, headers=headers))
    assert str(caught.value) == message


def test_no_value_is_in_a_repr() -> None:
    """Neither of headers nor of a query; a provider shows its name only."""
    hidden: Any = {"headers": {"X-Key": "canary"}, "query": {"key": "canary"}}
    provider = attrs.evolve(OPENAI, **hidden)
    text = repr(target(provider, **hidden))
    assert "X-Key" in text
    assert "provider=Provider('openai')" in text
    assert "canary" not in text


@pytest.mark.parametrize("kind", ["api", "bearer"])
def test_a_key_in_the_query(kind: Any) -> None:
    """AZURE_WEBSOCKET: "Using an api-key query string parameter"; not for tokens."""
    provider = attrs.evolve(AZURE, key_query="api-key")
    found = target(provider, credentials=Credentials("canary-key", kind=kind))
    url = address(found, provider.session_url("https://h.example", {}), websocket=True)
    if kind == "api":
        assert url == "wss://h.example/openai/v1/realtime?api-key=canary-key"
        assert dict(identification(found)) == {}
    else:
        assert url == "wss://h.example/openai/v1/realtime"
        assert dict(identification(found)) == {"Authorization": "Bearer canary-key"}


@pytest.mark.realtime
async def test_a_key_in_the_query_is_in_no_message(raw_server: RawServer) -> None:
    """Nor in a traceback with all local variables of these modules."""
    raw_server.reply = b"HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\ncanary-key"
    provider = attrs.evolve(AZURE, key_query="api-key")
    found = target(provider, base_url=raw_server.url)
    for connect in (
        lambda: create_key(found, 60),
        lambda: websocket().connect(found),
        lambda: websocket().connect(attrs.evolve(found, base_url="http://127.0.0.1:1")),
    ):
        with pytest.raises(ConnectError) as caught:
            await connect()
        text = "".join(traceback.format_exception(caught.value))
        assert "canary-key" not in text
    assert "api-key=canary-key" in raw_server.seen[0].line


# Key sources.


def test_the_key_of_an_ephemeral_key_is_that_of_the_provider() -> None:
    """A client binds its key source; a source of the source, too."""
    client = Client(
        provider="azure", base_url=RESOURCE, credentials=minted(EphemeralKeys())
    )
    assert client.credentials == EphemeralKeys(
        credentials=EphemeralKeys(provider=AZURE), lifetime=300, provider=AZURE
    )


@pytest.mark.realtime
async def test_the_default_key_mints_keys(
    raw_server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``EphemeralKeys()`` uses the variable of the provider."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "0123abcd")
    raw_server.reply = (
        b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"value": "ek_1234"}'
    )
    keys = EphemeralKeys().bind(AZURE)
    assert await keys.fetch(raw_server.url, SESSION, 5.0) == Credentials("ek_1234")
    assert raw_server.seen[0].headers["api-key"] == "0123abcd"


async def _async_token() -> str:
    return "a.token"


@pytest.mark.parametrize("function", [lambda: "a.token", _async_token])
async def test_a_function_supplies_a_token(function: Callable[[], Any]) -> None:
    """It may be a coroutine function; each connection gets a new token."""
    keys = TokenFunction(function)
    assert keys.renews
    token = await keys.fetch("https://h.example", {}, 5.0)
    assert token == Credentials("a.token", kind="bearer")
    assert not token.ephemeral


def _fail() -> str:
    raise RuntimeError("canary")


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (_fail, AuthenticationError, "the token function failed: RuntimeError"),
        (lambda: "", AuthenticationError, "the token function returned no token"),
        (lambda: 7, AuthenticationError, "the token function returned no token"),
        (
            lambda: asyncio.sleep(60),
            ConnectTimeout,
            "the token function did not return within 0.05 s",
        ),
        (
            lambda: time.sleep(0.2),
            ConnectTimeout,
            "the token function did not return within 0.05 s",
        ),
    ],
)
async def test_a_function_that_supplies_none(
    function: Callable[[], Any], kind: type[ConnectError], message: str
) -> None:
    """The message does not contain the text of its error."""
    with pytest.raises(kind) as caught:
        await TokenFunction(function).fetch("https://h.example", {}, 0.05)
    assert str(caught.value) == message
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.realtime
async def test_a_refused_token_is_replaced_once(
    kit: type[Kit], make_end: Callable[..., End]
) -> None:
    """As a refused key of any source that renews: the function is called again."""
    tokens = iter(["old.token", "new.token", "never"])
    async with (
        opened(kit, make_end, refused={"old.token"}) as door,
        Client(
            provider="azure",
            base_url=door.origin,
            credentials=TokenFunction(lambda: next(tokens)),
        ) as client,
    ):
        await client.start_session(CONFIG, transport=websocket())
    assert [key for _, key in seen(door)] == [
        "authorization: Bearer old.token",
        "authorization: Bearer new.token",
    ]
