"""Every way of connecting gives the service the same configuration, on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from duologue.core import Session, SessionConfig
from duologue.core.events.config import (
    FunctionTool,
    RealtimeSessionConfig,
    Reasoning,
    ServerVad,
    Transcription,
)
from duologue.transports import (
    Client,
    Credentials,
    EphemeralKeys,
    KeySource,
    TokenEndpoint,
    TokenFunction,
    Transport,
    webrtc,
    websocket,
)
from duologue.transports.drivers.webrtc.webrtc_transport import WebRTCTransport

from .front_door import opened

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit

pytestmark = pytest.mark.realtime

#: A value for each kind of field that a backend could drop.
CONFIG = SessionConfig(
    model="a-model",
    instructions="Speak like a pilot.",
    output_modalities=("text",),
    voice="cedar",
    turn_detection=ServerVad(silence_duration_ms=700),
    transcription=Transcription(model="a-recogniser", language="en"),
    tools=(FunctionTool(name="weather", parameters={"type": "object"}),),
    tool_choice="required",
    parallel_tool_calls=False,
    max_output_tokens=99,
    speed=1.1,
    reasoning=Reasoning(effort="low"),
)
WHOLE = CONFIG.to_session()


KEY = Credentials("sk-made-up")


@attrs.frozen
class Way:
    """A way to connect; ``forms``: the service takes a form."""

    transport: Callable[[], Transport] = webrtc
    #: The key source; a text is the path of a token endpoint.
    keys: KeySource | str = KEY
    provider: str = "openai"
    base: str = "/v1"
    forms: bool = True
    updates: int = 1

    def source(self, origin: str) -> KeySource:
        if isinstance(self.keys, str):
            return TokenEndpoint(origin + self.keys)
        return self.keys


MINTED = EphemeralKeys(credentials=KEY)
ENTRA = TokenFunction(lambda: "an.entra.token")
WAYS = {
    "form": Way(updates=0),
    "bare after 415": Way(forms=False),
    "minted key": Way(keys=MINTED),
    "given key": Way(keys=Credentials("ek_bare")),
    "token endpoint": Way(keys="/v1/token?key=ek_bare"),
    "token endpoint, other key": Way(keys="/v1/token?key=opaque"),
    "websocket": Way(websocket),
    "websocket, minted key": Way(websocket, MINTED),
    "websocket, token endpoint": Way(websocket, "/v1/token?key=ek_bare"),
    "azure, minted key": Way(keys=MINTED, provider="azure", base=""),
    "azure, minted with Entra": Way(
        keys=EphemeralKeys(credentials=ENTRA), provider="azure", base=""
    ),
    "azure, websocket": Way(websocket, provider="azure", base=""),
    "azure, websocket, Entra": Way(websocket, ENTRA, provider="azure", base=""),
    "azure-preview": Way(websocket, provider="azure-preview", base=""),
    "xai": Way(websocket, provider="xai"),
    "xai, minted key": Way(websocket, MINTED, provider="xai"),
    "local": Way(provider="local", updates=0),
    "plain": Way(websocket, provider="plain"),
}


def is_configured(session: Session) -> bool:
    confirmed = session.connection.confirmed
    assert confirmed is None or isinstance(confirmed, RealtimeSessionConfig)
    return confirmed is not None and confirmed.reasoning == CONFIG.reasoning


async def test_every_way_gives_the_same_session(
    kit: type[Kit], make_end: Callable[..., End]
) -> None:
    """The request and the first update together have each field of the configuration.

    A sideband finds the session of its call, and changes nothing.
    """
    got: dict[str, Any] = {}
    confirmed: dict[str, Any] = {}
    for name, way in WAYS.items():
        async with (
            opened(kit, make_end, forms=way.forms) as door,
            Client(
                credentials=way.source(door.origin),
                base_url=door.origin + way.base,
                provider=way.provider,
            ) as client,
        ):
            made = way.transport()
            session = await client.start_session(CONFIG, transport=made)
            call = door.calls[-1]
            async with asyncio.timeout(10):
                while call.updates < way.updates:
                    await asyncio.sleep(0.001)
            await session.until(is_configured, timeout=10)
            if isinstance(made, WebRTCTransport):
                sideband = websocket(call_id=made.call_id)
                joined = await client.start_session(CONFIG, transport=sideband)
                await joined.until(is_configured, timeout=10)
            got[name] = (call.session, call.updates)
            confirmed[name] = session.state.connection.confirmed
    assert got == {name: (WHOLE, way.updates) for name, way in WAYS.items()}
    assert confirmed == dict.fromkeys(WAYS, confirmed["form"])
