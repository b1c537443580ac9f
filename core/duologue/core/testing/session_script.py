"""Complete sessions, planned turn by turn, with their expected transcripts.

A `Turn` is a plan: who speaks, when the transcription arrives, how the model answers,
how the turn ends. `script` turns plans into the frames of a `Service`, in the orders of
events that real services use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from .service_frames import Service, message
from .stream import Frame

__all__ = [
    "ASIDES",
    "ENDS",
    "MCP",
    "TRANSCRIPTS",
    "Line",
    "PlannedAnswer",
    "PlannedCall",
    "Script",
    "Turn",
    "script",
]

#: When the transcription of the user's speech arrives.
TRANSCRIPTS = ("within", "early", "before", "late", "failed", "never")
#: How the answer ends.
ENDS = ("completed", "cancelled", "truncated", "incomplete", "failed")
#: The result of the call to an MCP server; empty if there is none.
MCP = ("", "completed", "failed", "approval")


@attrs.frozen
class Turn:
    """The plan of one turn.

    ``user`` and ``reply`` are texts in chunks. ``calls`` are the arguments, in chunks,
    of function calls that the model makes in parallel before it answers, after the
    words ``before_calls`` in the same response. ``aside`` is the text of an out-of-band
    response that begins before the answer and ends after. ``typed_within`` is a text
    that the user types during the answer.

    * ``transcript``, when the transcription arrives: ``within`` the answer, ``early``
      (during the speech), ``before`` the answer, ``late`` (after the next turn),
      ``failed``, ``never``
    * ``end``, how the answer ends: ``completed``, ``cancelled``, ``truncated``,
      ``incomplete``, ``failed``
    * ``mcp``, the result of the call to an MCP server: ``""`` (no call),
      ``completed``, ``failed``, ``approval``
    * ``events``, other events at the end: ``deleted_first``, ``deleted_last``,
      ``reconnected``, ``handed_over``, ``cleared``, ``retrieved``, ``rate_limits``,
      ``error``, ``dtmf``, ``timeout``, ``system``, ``set_up``

    Raises ValueError for an unknown value of one of these four fields.

    >>> plan = Turn(user=("what ", "time?"), reply=("Three.",), end="truncated")
    >>> [line.text for line in script([plan]).lines]
    ['what time?', 'Three.']
    """

    user: tuple[str, ...]
    reply: tuple[str, ...]
    is_spoken: bool = True
    transcript: str = "within"
    reply_is_spoken: bool = True
    plays: bool = False
    end: str = "completed"
    calls: tuple[tuple[str, ...], ...] = ()
    mcp: str = ""
    aside: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    before_calls: tuple[str, ...] = ()
    typed_within: str = ""

    def __attrs_post_init__(self) -> None:
        _check_one("Turn.transcript", self.transcript, TRANSCRIPTS)
        _check_one("Turn.end", self.end, ENDS)
        _check_one("Turn.mcp", self.mcp, MCP)
        for event in self.events:
            _check_one("Turn.events", event, ASIDES)


def _check_one(field: str, value: object, allowed: Iterable[str]) -> None:
    if value not in (names := tuple(allowed)):
        known = ", ".join(map(repr, names))
        raise ValueError(f"{field} is {value!r}, not one of {known}")


@attrs.frozen
class Line:
    """An expected line of the transcript.

    >>> Line("item_1", "user", "hello").text
    'hello'
    """

    item_id: str
    role: str
    text: str


@attrs.frozen
class PlannedCall:
    """An expected call of a function; ``arguments`` is JSON text.

    >>> played = script([Turn(user=("hello",), reply=("Hi.",), calls=(("{", "}"),))])
    >>> [(call.name, call.arguments) for call in played.calls]
    [('look', '{}')]
    """

    call_id: str
    name: str
    arguments: str


@attrs.frozen
class PlannedAnswer:
    """The inputs that a response of the conversation answers, as in `Answer`.

    >>> played = script([Turn(user=("hello",), reply=("Hi.",), is_spoken=False)])
    >>> [answer.kind for answer in played.answers]
    ['typed']
    """

    response_id: str
    kind: str
    item_ids: tuple[str, ...]


@attrs.frozen
class Script:
    """The frames of a session, and the expected transcript, calls and answers.

    ``habits`` are those of the service (see `with_habits`). With some of them, the ids
    in the state are not those of the frames: compare the roles and texts of lines, and
    the names and arguments of calls.

    >>> from duologue.core import fold, select_transcripts
    >>> from .stream import to_records
    >>> played = script([Turn(user=("hello",), reply=("Hi.",))])
    >>> session = fold(to_records(played.frames)).sessions["s"]
    >>> [line.text for line in select_transcripts(session)]
    ['hello', 'Hi.']
    >>> [line.text for line in played.lines]
    ['hello', 'Hi.']
    """

    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]
    calls: tuple[PlannedCall, ...] = ()
    habits: tuple[str, ...] = ()
    answers: tuple[PlannedAnswer, ...] = ()


def script(plan: Iterable[Turn], prefix: str = "") -> Script:
    """The session with these turns. All its ids begin with ``prefix``.

    >>> script([]).lines
    ()
    """
    stage = _Stage(Service(prefix))
    stage.connect()
    turns = list(plan)
    for number, turn in enumerate(turns, start=1):
        stage.play(turn, turns[number] if number < len(turns) else None)
    stage.transcribe_late()
    return Script(
        tuple(stage.service.frames),
        tuple(stage.lines),
        tuple(stage.calls),
        answers=tuple(stage.answers),
    )


class _Stage:
    """A session under construction: its service, and the events that are still due."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.lines: list[Line] = []
        self.calls: list[PlannedCall] = []
        self.answers: list[PlannedAnswer] = []
        #: The inputs without a response, each with its kind.
        self.inputs: dict[str, str] = {}
        #: The items that are not deleted, with their text.
        self.standing: dict[str, Line] = {}
        #: Transcriptions that are still due.
        self.late: list[Callable[[], None]] = []
        #: The user's item of the next turn, if it has begun as an interruption.
        self.reserved: str | None = None

    def connect(self, attempt: int = 1) -> None:
        service = self.service
        service.note("duologue.connecting", attempt=attempt)
        service.note("duologue.connected", attempt=attempt)
        service.created()
        self._configure()

    def _configure(self) -> None:
        service = self.service
        config = {"type": "realtime", "instructions": "Be brief."}
        service.note("session.update", session=config)
        service.send("session.updated", session={**config, "tools": []})

    def play(self, turn: Turn, following: Turn | None) -> None:
        """Write one turn, from the user's speech to the events after the answer."""
        earlier, self.late = self.late, []
        user = self._user(turn)
        after = self._answer(turn, following, user)
        for write in (*after, *earlier):
            write()
        for name in turn.events:
            # While the user speaks, these would end or clear the speech.
            if self.reserved is None or name not in _WHILE_SILENT:
                ASIDES[name](self)

    def transcribe_late(self) -> None:
        """Write the transcriptions that are still due."""
        late, self.late = self.late, []
        for write in late:
            write()

    def add(self, item_id: str, role: str, text: str) -> None:
        line = Line(item_id, role, text.strip())
        self.lines.append(line)
        self.standing[item_id] = line

    # --- The user -----------------------------------------------------------------

    def _user(self, turn: Turn) -> str:
        service, text = self.service, "".join(turn.user)
        if not turn.is_spoken:
            item_id = service.typed(text)
            self.inputs[item_id] = "typed"
            service.note("response.create")
            self.add(item_id, "user", text)
            return item_id
        item_id = self.reserved or service.start_speech()
        self.reserved = None
        if turn.transcript == "early":
            service.transcribe(item_id, turn.user)
        service.end_speech(item_id)
        self.inputs[item_id] = "spoken"
        if turn.transcript == "before":
            service.transcribe(item_id, turn.user)
        self.add(item_id, "user", "" if turn.transcript == "never" else text)
        if turn.transcript == "late":
            self.late.append(lambda: service.transcribe(item_id, turn.user))
        return item_id

    def _words_within(self, turn: Turn, user: str) -> None:
        if turn.is_spoken and turn.transcript in ("within", "failed"):
            fails = turn.transcript == "failed"
            self.service.transcribe(user, turn.user, fails=fails)

    # --- The model ----------------------------------------------------------------

    def _begin(self) -> str:
        """A response begins that answers the inputs so far."""
        response_id, inputs = self.service.begin(), self.inputs
        self.inputs = {}
        kind = list(inputs.values())[-1]
        self.answers.append(PlannedAnswer(response_id, kind, tuple(inputs)))
        return response_id

    def _answer(
        self, turn: Turn, following: Turn | None, user: str
    ) -> list[Callable[[], None]]:
        """Write the answer; return the functions that write later events."""
        service = self.service
        aside = self._begin_aside(turn)
        if turn.calls:
            self._call(turn)
        if turn.mcp:
            service.list_tools("shop", fails=turn.mcp == "failed")
        if turn.mcp == "approval":
            self._ask()
        response = self._begin()
        if turn.end == "failed":
            self._words_within(turn, user)
            why = {"code": "server_error", "message": "sorry"}
            service.end(response, [], "failed", type="failed", error=why)
        else:
            self._speak(turn, following, user, response)
        return aside

    def _begin_aside(self, turn: Turn) -> list[Callable[[], None]]:
        if not turn.aside:
            return []
        service, metadata = self.service, {"topic": "aside"}
        params = {"conversation": "none", "metadata": metadata}
        service.note("response.create", response=params)
        response = service.begin(in_band=False, metadata=metadata)
        said = service.say(response, turn.aside, spoken=False, in_band=False)

        def finish() -> None:
            service.end(response, [service.finish(said)], in_band=False)

        return [finish]

    def _call(self, turn: Turn) -> None:
        service = self.service
        response = self._begin()
        output: list[Frame] = []
        if turn.before_calls:
            said = service.say(response, turn.before_calls)
            self.add(said["item_id"], "assistant", said["text"])
            output.append(service.finish(said))
        made = [
            service.call(response, "look", pieces, index=index)
            for index, pieces in enumerate(turn.calls, start=len(output))
        ]
        self.calls += [
            PlannedCall(item["call_id"], item["name"], item["arguments"])
            for item in made
        ]
        service.end(response, [*output, *made])
        for item in made:
            self.inputs[service.answer(item["call_id"], "found")] = "tool_output"
        service.note("response.create")

    def _ask(self) -> None:
        response = self._begin()
        asked = self.service.approval("shop", response)
        self.service.end(response, [asked])
        self.inputs[self.service.approve(asked["id"])] = "tool_output"

    def _speak(
        self, turn: Turn, following: Turn | None, user: str, response: str
    ) -> None:
        service = self.service
        output: list[Frame] = []
        if turn.mcp in ("completed", "failed"):
            output.append(
                service.mcp_call(response, "shop", fails=turn.mcp == "failed")
            )
        said = service.say(
            response, turn.reply, spoken=turn.reply_is_spoken, index=len(output)
        )
        self.add(said["item_id"], "assistant", said["text"])
        plays = turn.plays and turn.reply_is_spoken
        if plays:
            service.send("output_audio_buffer.started", response_id=response)
        self._words_within(turn, user)
        if turn.typed_within:
            typed = service.typed(turn.typed_within)
            self.inputs[typed] = "typed"
            self.add(typed, "user", turn.typed_within)
        if turn.end == "completed":
            service.end(response, [*output, service.finish(said)])
        elif turn.end == "incomplete":
            output.append(service.finish(said, "incomplete"))
            service.end(response, output, "incomplete", reason="max_output_tokens")
        else:
            self._cut_off(turn, following, response, said, output)
        if plays:
            over = "cleared" if turn.end in ("cancelled", "truncated") else "stopped"
            service.send(f"output_audio_buffer.{over}", response_id=response)

    def _cut_off(
        self,
        turn: Turn,
        following: Turn | None,
        response: str,
        said: Frame,
        output: list[Frame],
    ) -> None:
        service = self.service
        if turn.end == "truncated" and following is not None and following.is_spoken:
            self.reserved = service.start_speech()
            reason = "turn_detected"
        else:
            service.note("response.cancel")
            reason = "client_cancelled"
        output.append(service.finish(said, "incomplete"))
        service.end(response, output, "cancelled", type="cancelled", reason=reason)
        if turn.end == "truncated":
            at: Frame = {"item_id": said["item_id"], "content_index": 0}
            at["audio_end_ms"] = 20
            service.note("conversation.item.truncate", **at)
            service.send("conversation.item.truncated", **at)

    # --- Other events -------------------------------------------------------------

    def delete(self, item_id: str) -> None:
        """Delete an item. Its transcription may still arrive; the state ignores it."""
        service = self.service
        service.note("conversation.item.delete", item_id=item_id)
        service.send("conversation.item.deleted", item_id=item_id)
        self.inputs.pop(item_id, None)
        del self.standing[item_id]
        self.lines = [line for line in self.lines if line.item_id != item_id]

    def delete_first(self) -> None:
        if self.standing:
            self.delete(next(iter(self.standing)))

    def delete_last(self) -> None:
        if self.standing:
            self.delete(next(reversed(self.standing)))

    def reconnect(self) -> None:
        """The connection is lost; the conversation is re-seeded on the next one."""
        service = self.service
        self.transcribe_late()
        self._drop_spoken()
        service.note("duologue.disconnected", code=1006, expected=False)
        service.note("duologue.tick")
        service.note("duologue.connecting")
        service.note("duologue.connect_failed", status=503, can_repeat=True)
        self.connect(attempt=2)
        self._reseed()

    def hand_over(self) -> None:
        """The successor takes the place of the connection, which is not lost."""
        service = self.service
        self.transcribe_late()
        self._drop_spoken()
        service.note("duologue.connecting", successor=True, reason="it expires soon")
        service.note("duologue.connected", successor=True)
        service.created()
        service.note("duologue.switched")
        self._configure()
        self._reseed()

    def _drop_spoken(self) -> None:
        """Speech is not answered on another connection."""
        kept = ((name, kind) for name, kind in self.inputs.items() if kind != "spoken")
        self.inputs = dict(kept)

    def _reseed(self) -> None:
        service = self.service
        service.last, previous = None, "root"
        # A client restores no message without words.
        for line in filter(lambda it: it.text, self.standing.values()):
            kind = "input_text" if line.role == "user" else "output_text"
            part = {"type": kind, "text": line.text}
            item = message(line.item_id, line.role, [part])
            service.note(
                "conversation.item.create",
                event_id=f"{line.item_id}_at_{len(service.frames)}",
                item=item,
                previous_item_id=previous,
            )
            service.put(item)
            previous = line.item_id

    def clear(self) -> None:
        """The user clears the transcripts; later lines are shown."""
        self.service.note("duologue.cleared")
        self.lines = []

    def retrieve(self) -> None:
        """The client retrieves the last reply."""
        said = [one for one in self.standing.values() if one.role == "assistant"]
        for line in said[-1:]:
            self.service.note("conversation.item.retrieve", item_id=line.item_id)
            part = {"type": "output_text", "text": line.text}
            item = message(line.item_id, line.role, [part])
            self.service.send("conversation.item.retrieved", item=item)

    def limits(self) -> None:
        limit = {"name": "tokens", "limit": 40_000, "remaining": 39_000}
        self.service.send(
            "rate_limits.updated", rate_limits=[{**limit, "reset_seconds": 1.5}]
        )

    def fail(self) -> None:
        error = {"type": "invalid_request_error", "code": "invalid_value"}
        self.service.send("error", error={**error, "message": "no", "event_id": "me_1"})

    def press(self) -> None:
        """The caller presses a telephone key; this event alone has no id."""
        self.service.note(
            "input_audio_buffer.dtmf_event_received", event="5", received_at=1_000
        )

    def wait(self) -> None:
        """The idle timeout expires: the silence becomes an item of the user."""
        service = self.service
        item_id = service.name("item")
        service.send(
            "input_audio_buffer.timeout_triggered",
            item_id=item_id,
            audio_start_ms=900,
            audio_end_ms=6_900,
        )
        service.send(
            "input_audio_buffer.committed",
            item_id=item_id,
            previous_item_id=service.last,
        )
        service.put(message(item_id, "user", [{"type": "input_audio"}]))
        self.inputs[item_id] = "spoken"
        self.add(item_id, "user", "")

    def instruct(self) -> None:
        self.service.typed("Be brief.", role="system")

    def set_up(self) -> None:
        """The user changes the microphone, the volume and the configuration."""
        self.service.note("duologue.muted", muted=True)
        self.service.note("duologue.volume", volume=0.5)
        self.service.note("duologue.played", item_id=self.service.last or "", ms=20)
        event = {"type": "session.update", "session": {"type": "realtime"}}
        self.service.note("duologue.requested", event=event)
        self.service.note("duologue.interrupted")


#: The events that `Turn` names, and the functions that write them.
ASIDES: dict[str, Callable[[_Stage], None]] = {
    "deleted_first": _Stage.delete_first,
    "deleted_last": _Stage.delete_last,
    "reconnected": _Stage.reconnect,
    "handed_over": _Stage.hand_over,
    "cleared": _Stage.clear,
    "retrieved": _Stage.retrieve,
    "rate_limits": _Stage.limits,
    "error": _Stage.fail,
    "dtmf": _Stage.press,
    "timeout": _Stage.wait,
    "system": _Stage.instruct,
    "set_up": _Stage.set_up,
}
_WHILE_SILENT = ("reconnected", "handed_over", "cleared", "timeout")
