"""The components of a service: speech recognition, synthesis, VAD, reply model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping

import attrs

from duologue.core import models
from duologue.transports.http.credentials import Secret

from .interfaces import (
    Recogniser,
    ReplyModel,
    Synthesiser,
    SynthesiserError,
    VoiceActivityDetector,
)
from .replies.llm_http import HttpReplyModel
from .replies.scenario_file import default_replies
from .speech.asr_http import HttpRecogniser
from .speech.asr_sphinx import SphinxRecogniser
from .speech.http_endpoint import Endpoint
from .speech.tts_cache import CachedSynthesiser
from .speech.tts_espeak import EspeakSynthesiser
from .speech.tts_flite import FliteSynthesiser
from .speech.tts_http import HttpSynthesiser
from .speech.vad_silero import SileroVAD

__all__ = ["Parts", "built_in", "find_synthesiser", "from_urls"]

#: For each external component: the path of its endpoint, and the data sent there.
_ENDPOINTS = {
    "ear": ("/audio/transcriptions", "your speech"),
    "voice": ("/audio/speech", "the text of the replies"),
    "mind": ("/chat/completions", "the text of the conversation"),
}
#: The only host that receives the key in OPENAI_API_KEY.
_OPENAI = "api.openai.com"


@attrs.frozen(kw_only=True)
class Parts:
    """The components of a service, shared by its sessions.

    Text conversations need ``mind``, the reply model, only. Without ``ear``
    transcriptions fail, without ``voice`` spoken responses fail, without ``detector``
    (VAD) the service ignores audio. ``far`` has the endpoints of external components.
    """

    mind: ReplyModel = attrs.field(factory=default_replies)
    ear: Recogniser | None = None
    voice: Synthesiser | None = None
    detector: Callable[[], VoiceActivityDetector] | None = None
    far: tuple[Endpoint, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """A line for each external component, to show to users at the start."""
        return tuple(
            f"the {far.part} is {far.model} at {far.host}: "
            + (
                "it stays on this machine"
                if far.is_loopback
                else f"{_ENDPOINTS[far.part][1]} leaves this machine"
            )
            for far in self.far
        )

    async def close(self) -> None:
        """Close the components."""
        if self.ear is not None:
            await self.ear.close()
        for far in self.far:
            await far.close()


def find_synthesiser() -> Synthesiser:
    """Speech synthesis with flite, or else with espeak-ng.

    Raises `SynthesiserError` if neither is installed; the message names the packages.
    """
    for synthesiser in (FliteSynthesiser, EspeakSynthesiser):
        with contextlib.suppress(SynthesiserError):
            return synthesiser()
    raise SynthesiserError(
        "no voice: install the system package libflite1 "
        "(apt-get install libflite1), or the extra duologue[espeak]"
    )


def built_in() -> Parts:
    """The components that need no network.

    Raises `SynthesiserError` if this machine has no speech synthesis.
    """
    voice = CachedSynthesiser(find_synthesiser())
    return Parts(ear=SphinxRecogniser(), voice=voice, detector=SileroVAD)


def from_urls(
    *,
    ear_url: str | None = None,
    ear_model: str | None = None,
    voice_url: str | None = None,
    voice_model: str | None = None,
    mind_url: str | None = None,
    mind_model: str | None = None,
    mind: ReplyModel | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Parts:
    """Components at URLs; each component without a URL is the built-in one.

    A URL is the base URL (``http://127.0.0.1:8000/v1``) of a service with OpenAI's
    ``/audio/transcriptions``, ``/audio/speech`` or ``/chat/completions``, or the URL of
    that endpoint. The default of each argument is an environment variable:
    ``DUOLOGUE_EAR_URL``, ``DUOLOGUE_EAR_MODEL``, and the same for ``VOICE`` and
    ``MIND``. Keys are environment variables only: ``DUOLOGUE_EAR_KEY`` …, or
    ``OPENAI_API_KEY`` if the host is api.openai.com. ``mind`` is the reply model if
    none has a URL.

    Raises ValueError for an invalid URL or a missing model name (only
    ``DUOLOGUE_EAR_MODEL`` has a default), and `SynthesiserError` if speech synthesis
    has no URL and is not installed.

    Print `Parts.notices` before you serve: speech may leave the machine.
    """
    ear = _endpoint("ear", ear_url, ear_model, environ, default=models.TRANSCRIPTION)
    voice = _endpoint("voice", voice_url, voice_model, environ)
    chat = _endpoint("mind", mind_url, mind_model, environ)
    instead = {} if mind is None else {"mind": mind}
    if chat is not None:
        instead = {"mind": HttpReplyModel(chat)}
    return Parts(
        ear=SphinxRecogniser() if ear is None else HttpRecogniser(ear),
        voice=CachedSynthesiser(
            find_synthesiser() if voice is None else HttpSynthesiser(voice)
        ),
        detector=SileroVAD,
        far=tuple(far for far in (ear, voice, chat) if far is not None),
        **instead,
    )


def _endpoint(
    part: str,
    url: str | None,
    model: str | None,
    environ: Mapping[str, str],
    default: str | None = None,
) -> Endpoint | None:
    prefix = f"DUOLOGUE_{part.upper()}"
    url = url or environ.get(f"{prefix}_URL")
    if not url:
        return None
    model = model or environ.get(f"{prefix}_MODEL") or default
    if not model:
        raise ValueError(f"name the model of the {part} (--{part}-model)")
    key = environ.get(f"{prefix}_KEY")
    far = Endpoint(part, url, _ENDPOINTS[part][0], model, Secret(key) if key else None)
    if not key and far.host == _OPENAI and (key := environ.get("OPENAI_API_KEY")):
        far = Endpoint(part, url, _ENDPOINTS[part][0], model, Secret(key))
    return far
