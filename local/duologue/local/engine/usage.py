"""Token counts by a simple rule; the local service has no tokenizer.

A token is four characters of text, 100 ms of the user's audio or 50 ms of the
assistant's audio. The input of a response is the instructions and the whole
conversation. The input tokens of the previous response in the conversation count as
cached tokens, up to the number of input tokens of this response.
"""

from __future__ import annotations

import attrs

from duologue.core.events import (
    CachedTokenDetails,
    DurationUsage,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseUsage,
    TokenUsage,
)
from duologue.core.models import BILLED_BY_TOKENS, undated

__all__ = [
    "TokenCounter",
    "Tokens",
    "first_tokens",
    "text_tokens",
    "transcription_usage",
]

_CHARACTERS = 4
_USER_MS = 100
_ASSISTANT_MS = 50


def text_tokens(text: str) -> int:
    """The number of tokens of a text."""
    return -(-len(text) // _CHARACTERS)


def first_tokens(text: str, tokens: int) -> str:
    """The first ``tokens`` tokens of a text."""
    return text[: max(0, tokens) * _CHARACTERS]


def _user_tokens(ms: float) -> int:
    return -(-int(ms) // _USER_MS)


def transcription_usage(model: str, ms: int, text: str) -> TokenUsage | DurationUsage:
    """The usage of a transcription: tokens or seconds, depending on the model."""
    if undated(model) not in BILLED_BY_TOKENS:
        return DurationUsage(seconds=-(-ms // 1000))
    heard, written = _user_tokens(ms), text_tokens(text)
    return TokenUsage(
        total_tokens=heard + written,
        input_tokens=heard,
        input_token_details=InputTokenDetails(text_tokens=0, audio_tokens=heard),
        output_tokens=written,
    )


@attrs.frozen
class Tokens:
    """Tokens by modality."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """The sum of text and audio tokens."""
        return self.text + self.audio


class TokenCounter:
    """Counts the tokens of the conversation."""

    def __init__(self) -> None:
        self._conversation = Tokens()
        self._cached = Tokens()

    def add_text(self, text: str) -> None:
        """Count the text of an item that the client added."""
        self._conversation += Tokens(text=text_tokens(text))

    def add_audio(self, ms: float) -> None:
        """Count ``ms`` of audio of the user."""
        self._conversation += Tokens(audio=_user_tokens(ms))

    def add_response(
        self, instructions: str, text: str, audio_ms: float, *, keep: bool
    ) -> ResponseUsage:
        """Return the usage of a response with this text and audio.

        With ``keep``, count the response as part of the conversation.
        """
        prompt = self._conversation + Tokens(text=text_tokens(instructions))
        output = Tokens(text_tokens(text), -(-int(audio_ms) // _ASSISTANT_MS))
        cached = Tokens(
            min(self._cached.text, prompt.text), min(self._cached.audio, prompt.audio)
        )
        if keep:
            self._conversation += output
            self._cached = prompt
        return _usage(prompt, cached, output)


def _usage(prompt: Tokens, cached: Tokens, output: Tokens) -> ResponseUsage:
    return ResponseUsage(
        total_tokens=prompt.total + output.total,
        input_tokens=prompt.total,
        output_tokens=output.total,
        input_token_details=InputTokenDetails(
            text_tokens=prompt.text,
            audio_tokens=prompt.audio,
            image_tokens=0,
            cached_tokens=cached.total,
            cached_tokens_details=CachedTokenDetails(
                text_tokens=cached.text, audio_tokens=cached.audio, image_tokens=0
            ),
        ),
        output_token_details=OutputTokenDetails(
            text_tokens=output.text, audio_tokens=output.audio
        ),
    )
