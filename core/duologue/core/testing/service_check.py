"""The check that a store understands services with all habits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from duologue.core.effects.commands import RunTool, Send
from duologue.core.effects.reactions import react
from duologue.core.selectors.calls import select_call
from duologue.core.selectors.session import select_is_settled
from duologue.core.selectors.transcript import select_transcripts
from duologue.core.state.model import Session
from duologue.core.store import Store

from .counterexample import smallest_fault
from .failure_report import Fault, compared
from .service_habits import HABITS, with_habits
from .session_script import Script, Turn, script
from .strategies import habits as sets_of_habits
from .strategies import scripts
from .stream import Frame, Recorder, Stream

__all__ = ["check_services"]

_SESSION = "s"
_RESPONSE_DONE = "response.done"
#: Habits that services have together.
_TOGETHER = (
    ("no_announcements", "item_ids_shared", "null_predecessors"),
    ("no_announcements", "null_predecessors"),
    ("listed_in_done", "no_output_ids"),
)
#: Seconds between the ticks after the last event; together longer than every wait.
_TICKS = (16.0, 120.0, 125.0, 250.0, 400.0, 4_000.0)


def check_services(
    make_store: Callable[[], Store] = Store,
    *,
    habits: Sequence[str] = (),
    turns: int = 4,
    examples: int = 100,
) -> None:
    """Raise `Fault` unless a store understands services with these habits.

    ``habits`` are names of habits, all by default: see `with_habits`. The check plays
    one long session for each habit, then ``examples`` drawn ones of up to ``turns``
    turns, with up to three habits. It calls the functions that `react` returns. Then

    * the transcript has the lines of the plan, with their roles and texts, in order
    * each function was called once, with its arguments, in order, and `react` requested
      the response to the outputs
    * the errors of MCP calls are in the state
    * the tokens of every response are counted once, if the service counts them
    * the session is settled, after two hours at most

    Raises ValueError for an unknown habit.

    >>> check_services(habits=["no_predecessors"], turns=2, examples=10)
    """
    names = tuple(habits) or tuple(HABITS)
    plain = script(_tour())

    def check(played: Script) -> None:
        _check(make_store, played)

    def smallest(habits: st.SearchStrategy[frozenset[str]]) -> Fault | None:
        drawn = scripts(turns=turns, habits=habits)
        return smallest_fault(check, drawn, examples, lambda it: len(it.frames))

    together = (some for some in _TOGETHER if {*some} <= {*names})
    for some in map(frozenset, ((), *((name,) for name in names), *together)):
        try:
            check(with_habits(plain, some))
        except Fault as fault:
            # The tour is long: a drawn session is easier to read.
            raise (smallest(st.just(some)) or fault) from None
    if (found := smallest(sets_of_habits(*names))) is not None:
        raise found


def _tour() -> list[Turn]:
    """Turns over three connections: words before calls, parallel calls, interruption.

    No line is deleted or cleared, so all of them must be in the transcript.
    """
    look = ("Let me ", "look.")
    return [
        Turn(("hello ", "there"), ("Hi ", "you."), plays=True, aside=("A title",)),
        Turn(("one",), ("Two.",), False, calls=(('{"a":', "1}"),), before_calls=look),
        Turn(("and?",), ("Yes.",), calls=(("{}",), ('{"b":2}',)), before_calls=look),
        Turn(("tell me",), ("It ", "is"), False, typed_within="quick", end="truncated"),
        Turn(("go on",), ("so ", "far"), end="truncated", plays=True),
        Turn(("wait",), ("I do.",), mcp="failed", events=("reconnected",)),
        Turn(("or",), ("Right.",), False, calls=(('{"c":3}',),), transcript="late"),
        Turn(("buy ", "it"), ("Done.",), mcp="completed", calls=(('{"d":4}',),) * 2),
        Turn(("sure?",), ("Yes.",), mcp="approval", events=("handed_over",)),
        Turn(("more",), ("Here.",), False, calls=(('{"e":5}',),), before_calls=look),
        Turn(("bye",), ("Bye.",), reply_is_spoken=False, events=("timeout",)),
    ]


def _check(make_store: Callable[[], Store], played: Script) -> None:
    """Raise `Fault` unless the store understands this session."""
    player = _Player(make_store())
    for frame in played.frames:
        player.play(frame)
    session = player.session
    said = [(line.role, line.text) for line in select_transcripts(session)]
    wanted = [(line.role, line.text) for line in played.lines]
    called = [(call.name, call.arguments) for call in played.calls]
    tokens = sum(_tokens(frame) for frame in played.frames)
    for what, expected, found in (
        ("the lines of the transcript are wrong", wanted, said),
        ("the calls of functions are wrong", called, player.called),
        ("outputs of functions were not answered", 0, player.unanswered),
        ("the errors of MCP calls are wrong", _errors(played), _found_errors(session)),
        ("the tokens are wrong", tokens, session.usage.tokens.total),
        ("the session is not settled", True, player.is_settled()),
    ):
        if expected != found:
            habits = f", with {', '.join(played.habits)}" if played.habits else ""
            values = compared(("expected", "found"), expected, found)
            raise Fault(f"{what}{habits}\n{values}", player.stream)


def _errors(played: Script) -> list[str]:
    """The errors of the MCP calls that ``response.done`` lists."""
    responses = (it["response"] for it in played.frames if it["type"] == _RESPONSE_DONE)
    errors = (
        item["error"]
        for response in responses
        for item in response["output"]
        if item.get("error")
    )
    return [error if isinstance(error, str) else error["message"] for error in errors]


def _found_errors(session: Session) -> list[str]:
    calls = (item.call for item in session.items.values() if item.type == "mcp_call")
    return [call.error for call in calls if call is not None and call.error]


def _tokens(frame: Frame) -> int:
    """The tokens of a response in its last event."""
    response: Frame = frame["response"] if frame["type"] == _RESPONSE_DONE else {}
    usage: dict[str, int] = response.get("usage") or {}
    return int(usage.get("input_tokens", 0) + usage.get("output_tokens", 0))


class _Player:
    """Plays the frames of a script into a store, and calls functions as a client."""

    def __init__(self, store: Store) -> None:
        self.stream = Stream()
        #: The names and arguments of the called functions.
        self.called: list[tuple[str, str]] = []
        self._store = store
        self._recorder = Recorder(_SESSION, 1000.0)
        #: How often `react` did not request the response to outputs of functions.
        self.unanswered = 0
        #: Whether it has requested the next response, and outputs were sent since the
        #: last one.
        self._is_requested = self._has_outputs = False
        #: The ids of the calls without a sent output.
        self._unanswered: list[str] = []
        #: The call that each sent output answers.
        self._answers: dict[str, str] = {}

    @property
    def session(self) -> Session:
        return self._store.session(_SESSION) or Session(_SESSION)

    def play(self, frame: Frame) -> None:
        """Record a frame. Ids of calls in outputs are those that the state has."""
        if frame["type"] in ("duologue.tool_started", "duologue.tool_finished"):
            # The tools that `react` returns are run instead.
            return
        if frame["type"] == "response.create" and "response" not in frame:
            if self._has_outputs and not self._is_requested:
                # One of the outputs has no answer: the client waits for a time.
                self._record({"type": "duologue.tick"}, after=_TICKS[0])
            if self._is_requested:
                # A command of `react` has requested this response already.
                return
            self.unanswered += self._has_outputs
        elif frame["type"] == "response.created":
            self._is_requested = self._has_outputs = False
        item = frame.get("item", {})
        if item.get("type") == "function_call_output":
            if frame["type"] == "conversation.item.create" and self._unanswered:
                self._answers[item["id"]] = self._unanswered.pop(0)
            self._has_outputs |= frame["type"] == "conversation.item.added"
            call_id = self._answers.get(item.get("id"), item["call_id"])
            frame = {**frame, "item": {**item, "call_id": call_id}}
        self._record(frame)

    def is_settled(self) -> bool:
        """Whether the session is settled, at once or after a time."""
        for seconds in _TICKS:
            if select_is_settled(self.session):
                return True
            self._record({"type": "duologue.tick"}, after=seconds)
        return select_is_settled(self.session)

    def _record(self, frame: Frame, *, after: float = 0.0) -> None:
        record = self._recorder.record(frame, after=after)
        self.stream.append(record)
        before = self._store.state
        for command in react(before, record, self._store.dispatch(record)):
            if isinstance(command, RunTool):
                self._call(command.call_id)
            elif isinstance(command, Send) and command.is_last:
                self._is_requested = True
                self._record({"type": "response.create"})

    def _call(self, call_id: str) -> None:
        call = select_call(self.session, call_id)
        if call is None:
            self.called.append(("", ""))
            return
        self.called.append((call.name, str(call.arguments)))
        self._unanswered.append(call.call_id or call_id)
        for name in ("tool_started", "tool_finished"):
            self._record({"type": f"duologue.{name}", "call_id": call_id})
