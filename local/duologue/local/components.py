"""The ear, the voice, the mind and the speech detector of a service, together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import attrs

from duologue.core import models
from duologue.transports.http.credentials import Secret

from .interfaces import Detector, Ear, Mind, Voice
from .replies.llm_http import UrlMind
from .replies.scenario import default_replies
from .speech.asr_http import UrlEar
from .speech.asr_sphinx import SphinxEar
from .speech.remote import Far
from .speech.tts import find_voice
from .speech.tts_cache import CachedVoice
from .speech.tts_http import UrlVoice
from .speech.vad_silero import SileroDetector

__all__ = ["Parts", "built_in", "from_urls"]

#: The endpoints behind a base URL.
_PATHS = {
    "ear": "/audio/transcriptions",
    "voice": "/audio/speech",
    "mind": "/chat/completions",
}
#: What leaves for a part that is elsewhere.
_LEAVING = {
    "ear": "what you say",
    "voice": "the text of the replies",
    "mind": "the text of the conversation",
}
#: The one host that the key of OPENAI_API_KEY is for.
_OPENAI = "api.openai.com"


@attrs.frozen(kw_only=True)
class Parts:
    """What a service hears, thinks and speaks with; sessions share it.

    Without an ear a transcription fails, without a voice a spoken response, without
    a detector audio is ignored: a typed conversation needs none of them. ``far`` are
    the services that stand behind them.
    """

    mind: Mind = attrs.field(factory=default_replies)
    ear: Ear | None = None
    voice: Voice | None = None
    detector: Callable[[], Detector] | None = None
    far: tuple[Far, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What people must be told on start: a line for each part that is elsewhere."""
        return tuple(
            f"the {far.part} is {far.model} at {far.place}: "
            + ("it stays on this machine" if far.stays else _leaves(far.part))
            for far in self.far
        )

    async def close(self) -> None:
        """Free what the parts hold."""
        if self.ear is not None:
            await self.ear.close()
        for far in self.far:
            await far.close()


def built_in() -> Parts:
    """The parts that need no network. Raises `VoiceError` where there is no voice."""
    voice = CachedVoice(find_voice())
    return Parts(ear=SphinxEar(), voice=voice, detector=SileroDetector)


def from_urls(
    *,
    ear_url: str | None = None,
    ear_model: str | None = None,
    voice_url: str | None = None,
    voice_model: str | None = None,
    mind_url: str | None = None,
    mind_model: str | None = None,
    mind: Mind | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Parts:
    """The built-in parts, but for those that a URL is given for.

    A URL is the base (``http://127.0.0.1:8000/v1``) of a service with OpenAI's
    ``/audio/transcriptions``, ``/audio/speech`` or ``/chat/completions``, or that
    endpoint itself. What is left out comes from the environment:
    ``DUOLOGUE_EAR_URL``, ``DUOLOGUE_EAR_MODEL`` and so on for ``VOICE`` and ``MIND``.
    Keys come from there alone: ``DUOLOGUE_EAR_KEY``…, or ``OPENAI_API_KEY`` where the
    host is api.openai.com. ``mind`` answers where no URL of one is given.

    Raises ValueError for a URL that is none and where the model is not named (the ear
    has a default), `VoiceError` where no voice is given and this machine has none.

    Before it serves, a program prints `Parts.notices`: speech may leave the machine.
    """
    ear = _far("ear", ear_url, ear_model, environ, default=models.TRANSCRIPTION)
    voice = _far("voice", voice_url, voice_model, environ)
    chat = _far("mind", mind_url, mind_model, environ)
    instead = {} if mind is None else {"mind": mind}
    if chat is not None:
        instead = {"mind": UrlMind(chat)}
    return Parts(
        ear=SphinxEar() if ear is None else UrlEar(ear),
        voice=CachedVoice(find_voice() if voice is None else UrlVoice(voice)),
        detector=SileroDetector,
        far=tuple(far for far in (ear, voice, chat) if far is not None),
        **instead,
    )


def _far(
    part: str,
    url: str | None,
    model: str | None,
    environ: Mapping[str, str],
    default: str | None = None,
) -> Far | None:
    prefix = f"DUOLOGUE_{part.upper()}"
    url = url or environ.get(f"{prefix}_URL")
    if not url:
        return None
    model = model or environ.get(f"{prefix}_MODEL") or default
    if not model:
        raise ValueError(f"name the model of the {part} (--{part}-model)")
    key = environ.get(f"{prefix}_KEY")
    far = Far(part, url, _PATHS[part], model, Secret(key) if key else None)
    if not key and far.place == _OPENAI and (key := environ.get("OPENAI_API_KEY")):
        far = Far(part, url, _PATHS[part], model, Secret(key))
    return far


def _leaves(part: str) -> str:
    return f"{_LEAVING[part]} leaves this machine"
