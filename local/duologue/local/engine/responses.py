"""The responses that are being made: one in the conversation, any number beside it.

A response waits for the words of the user's last utterances, then for the mind,
then for the voice; a spoken item begins with its first audio. However a response
ends, there is one ``response.done``.
"""

from __future__ import annotations

from collections.abc import Callable

from duologue.core.events import (
    AnyItem,
    RateLimit,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseStatusDetails,
)

from ..interfaces import Call, Prompt, Say
from .conversation import Conversation, entries_of
from .effects import Speak, Stop, Think
from .outbox import Outbox, Refusal
from .output_buffer import Playout
from .output_items import FunctionCall, Message
from .reply import Plan, Reply
from .usage import Meter

__all__ = ["Responses"]

#: Tokens a minute: this service has no limit, the event has fields.
_LIMIT = 1_000_000
#: Responses at a time, those beside the conversation included.
_MOST = 32

_Source = Callable[[], tuple[AnyItem, ...]]


class Responses:
    """Makes responses and sees each of them to its end."""

    def __init__(
        self,
        outbox: Outbox,
        conversation: Conversation,
        meter: Meter,
        playout: Playout | None,
        session: str,
    ) -> None:
        self._outbox = outbox
        self._conversation = conversation
        self._meter = meter
        self._playout = playout
        self._session = session
        self._replies: dict[str, Reply] = {}
        self._sources: dict[str, _Source] = {}
        self._audio_ms: dict[str, int] = {}
        self._cut: set[str] = set()
        self._ended_at: float | None = None
        self._now = 0.0

    @property
    def active(self) -> Reply | None:
        """The response of the conversation that is under way."""
        running = (reply for reply in self._replies.values() if reply.plan.in_band)
        return next(running, None)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do next."""
        times = (reply.deadline for reply in self._replies.values())
        return min((at for at in times if at is not None), default=None)

    def get(self, response: str) -> Reply | None:
        """The response under way of that id."""
        return self._replies.get(response)

    def audio_of(self, item_id: str) -> int | None:
        """The ms of audio made of a spoken item; None of any other."""
        for reply in self._replies.values():
            for output in reply.outputs:
                if output.id == item_id and output.spoken:
                    return self._audio_ms.get(item_id, output.audio_ms)
        return self._audio_ms.get(item_id)

    def take_ended_at(self) -> float | None:
        """When the last response in the conversation is heard to its end.

        None where none has ended since the last call.
        """
        ended_at, self._ended_at = self._ended_at, None
        return ended_at

    def truncate(self, item_id: str, ms: int) -> None:
        """The audio of an item ends here from now on, and its words are forgotten."""
        self._audio_ms[item_id] = ms
        self._cut.add(item_id)
        self._conversation.silence(item_id)

    def create(self, plan: Plan, source: _Source, waits: set[str], at: float) -> Reply:
        """Begin a response to ``source``, once the utterances ``waits`` are known.

        Raises `Refusal` where too many are under way beside the conversation.
        """
        if not plan.in_band and len(self._replies) >= _MOST:
            raise Refusal(
                "rate_limit_exceeded",
                f"A session has up to {_MOST} responses at a time here.",
            )
        reply = Reply(self._outbox, plan)
        self._replies[reply.id] = reply
        self._sources[reply.id] = source
        self._outbox.emit(ResponseCreated, response=reply.shown("in_progress"))
        reply.waits = waits
        self._think(reply, at)
        return reply

    def heard(self, utterance: str, at: float) -> None:
        """The words of an utterance are known, or never will be."""
        for reply in self._replies.values():
            if utterance in reply.waits:
                reply.waits.discard(utterance)
                self._think(reply, at)

    def thought(self, response: str, thought: Say | Call) -> None:
        """The mind has decided more of what is said or called."""
        reply = self._replies.get(response)
        if reply is None or not reply.thinking:
            return
        if isinstance(thought, Say):
            reply.say(thought)
        else:
            reply.call(thought)
        if reply.limited:
            self._outbox.ask(Stop(reply.id))
            reply.think_no_more()
        self._speak(reply)

    def thought_all(self, response: str) -> None:
        """The mind has nothing to add."""
        reply = self._replies.get(response)
        if reply is not None and reply.thinking:
            reply.think_no_more()
            self._speak(reply)

    def voiced(self, response: str, pcm24k: bytes) -> bool:
        """More of the reply was spoken. False where nobody waits for it."""
        reply = self._replies.get(response)
        if reply is None:
            return False
        output = reply.current
        if not isinstance(output, Message) or not output.voiced(pcm24k):
            return False
        if self._playout is not None:
            item_id = output.id if reply.plan.in_band else None
            self._playout.write(response, item_id, pcm24k)
        return True

    def voiced_all(self, response: str) -> None:
        """The voice has said what it was given last."""
        reply = self._replies.get(response)
        if reply is not None and isinstance(reply.current, Message):
            reply.current.voiced_all()
            self._speak(reply)

    def mind_failed(self, response: str, why: str, code: str) -> None:
        """The mind gave up: what it said before is sent first."""
        reply = self._replies.get(response)
        if reply is not None and reply.thinking:
            reply.failure = _failure(why, code)
            reply.think_no_more()
            self._speak(reply)

    def failed(self, response: str, why: str) -> None:
        """The voice gave up."""
        if (reply := self._replies.get(response)) is not None:
            self._outbox.ask(Stop(reply.id))
            self._finish(reply, "failed", _failure(why, "server_error"))

    def cancel(self, reply: Reply, reason: str) -> None:
        """End a response before its time."""
        self._outbox.ask(Stop(reply.id))
        details = ResponseStatusDetails(type="cancelled", reason=reason)
        self._finish(reply, "cancelled", details)

    def advance(self, at: float) -> None:
        """Send what is due and end what is complete."""
        self._now = at
        for reply in list(self._replies.values()):
            while (output := reply.current) is not None and self._move(
                reply, output, at
            ):
                reply.go_on()
                self._speak(reply)
            if reply.finished and reply.failure is not None:
                self._finish(reply, "failed", reply.failure)
            elif reply.finished and reply.limited:
                details = ResponseStatusDetails(
                    type="incomplete", reason="max_output_tokens"
                )
                self._finish(reply, "incomplete", details)
            elif reply.finished:
                self._finish(reply, "completed", None)

    def _think(self, reply: Reply, at: float) -> None:
        if reply.waits:
            return
        plan = reply.plan
        reply.thinking = True
        prompt = Prompt(
            instructions=plan.instructions,
            lines=entries_of(self._sources.pop(reply.id)()),
            tools=plan.tools,
            tool_choice=plan.tool_choice,
            modalities=plan.modalities,
            max_output_tokens=plan.most_tokens,
            session=self._session,
            at=at,
        )
        self._outbox.ask(Think(reply.id, prompt))

    def _speak(self, reply: Reply) -> None:
        """Give the voice the next piece of the message that is current."""
        if isinstance(reply.current, Message):
            text = reply.current.to_speak()
            if text is not None:
                self._outbox.ask(Speak(reply.id, text, reply.plan.voice))

    def _move(self, reply: Reply, output: Message | FunctionCall, at: float) -> bool:
        """Open an output and send what is due of it; whether it is complete."""
        if output.opened_at is None:
            if not output.ready:
                return False
            item = output.item("in_progress")
            self._outbox.emit(
                ResponseOutputItemAdded,
                response_id=reply.id,
                output_index=output.index,
                item=item,
            )
            if reply.plan.in_band:
                self._conversation.put(item)
            output.begin(at)
            if reply.first_word_at is None:
                reply.first_word_at = at
        output.send(at)
        return output.finished

    def _close(
        self, reply: Reply, output: Message | FunctionCall, status: str
    ) -> AnyItem:
        """End the item; in the conversation too, unless the client has deleted it."""
        output.close()
        item = output.item(status)
        if reply.plan.in_band and output.id in self._conversation:
            self._conversation.done(item, by_model=True)
            if output.spoken:
                self._audio_ms.setdefault(output.id, output.audio_ms)
            if output.id in self._cut:
                self._conversation.silence(output.id)
        self._outbox.emit(
            ResponseOutputItemDone,
            response_id=reply.id,
            output_index=output.index,
            item=item,
        )
        return item

    def _finish(
        self, reply: Reply, status: str, details: ResponseStatusDetails | None
    ) -> None:
        del self._replies[reply.id]
        self._sources.pop(reply.id, None)
        # All of them at the end, in their order, as the service does.
        items = tuple(self._close(reply, *opened) for opened in reply.opened)
        usage = self._meter.respond(
            reply.plan.instructions,
            reply.said,
            reply.audio_ms,
            keep=reply.plan.in_band,
        )
        reply.over = True
        if reply.plan.in_band and status == "completed":
            began = self._now if reply.first_word_at is None else reply.first_word_at
            self._ended_at = max(self._now, began + reply.audio_ms / 1000)
        shown = reply.shown(status, output=items, details=details, usage=usage)
        self._outbox.emit(ResponseDone, response=shown)
        if self._playout is not None:
            self._playout.finish(reply.id)
        limit = RateLimit(
            name="tokens", limit=_LIMIT, remaining=_LIMIT, reset_seconds=0.0
        )
        self._outbox.emit(RateLimitsUpdated, rate_limits=(limit,))


def _failure(why: str, code: str) -> ResponseStatusDetails:
    error = ResponseError(type="server_error", code=code, message=why)
    return ResponseStatusDetails(type="failed", error=error)
