"""Whether a log shows that its commands were carried out."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.core import Record, State, events, react, reduce
from duologue.core.effects.commands import (
    Command,
    Connect,
    Disconnect,
    RunTool,
    Send,
    SwitchTo,
    WakeAt,
)
from duologue.core.effects.lifecycle import is_resent, may_send
from duologue.core.events.types import SessionStatus

__all__ = ["check_carried_out"]

_OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)


def check_carried_out(
    records: Iterable[Record], *, late: float = float("inf"), is_whole: bool = False
) -> list[Command]:
    """Check the log of one live session, to its end; returns all its commands.

    `react` over the records gives commands, and the records that answer them follow:
    each once, with the same values, in order. Facts that only a command causes have
    one. An event to send may stay unsent if its connection ends.

    Every attempt has one result. A tick comes at most ``late`` seconds after its time,
    an event is sent at most that long after it can be sent. If the log ``is_whole``, it
    contains everything that the client's driver did: it ends with the session, each
    sent event that is kept for the next connection is that of a command, and each tool
    is run by one.
    """
    log = _Log(late, is_whole)
    for record in records:
        log.add(record)
    log.finish()
    return log.commands


class _Log:
    def __init__(self, late: float, is_whole: bool) -> None:
        self.state = State()
        self.late, self.is_whole = late, is_whole
        self.commands: list[Command] = []
        self._begin()

    def _begin(self) -> None:
        """A process begins; an earlier one has left the rest undone."""
        self.connects: list[Connect] = []
        self.ends: list[Disconnect] = []
        self.switches: list[int] = []
        #: The events to send: the rules' own, those requested, and those that are last.
        self.sends: dict[str, list[Send]] = {"own": [], "requested": [], "last": []}
        #: Since when an event could be sent and was not.
        self.unsent_since: float | None = None
        #: The calls to run, with the time of the command.
        self.calls: dict[str, float] = {}
        #: The time of the next tick, and when it is due.
        self.alarm: float | None = None
        self.due = 0.0
        #: When the session began to end.
        self.ended_at: float | None = None
        #: The attempts in flight, with their numbers; the connections that are open.
        self.running: dict[int, int] = {}
        self.opened: set[int] = set()

    def add(self, record: Record) -> None:
        """The next record answers a command, or causes others, or both."""
        self._check_alarm(record)
        if self.unsent_since is not None and record.at is not None:
            assert record.at <= self.unsent_since + self.late, record
        self._answer(record)
        before, self.state = self.state, reduce(self.state, record)
        if record.session not in self.state.sessions:
            return
        after = self.state.sessions[record.session].connection.epoch
        earlier = before.sessions.get(record.session)
        if earlier is not None and earlier.connection.epoch != after:
            # The rules give them again, and those that the state keeps.
            kept = [s for s in self.sends["requested"] if not is_resent(s.event)]
            self.sends = {"own": [], "requested": kept, "last": []}
        if isinstance(record.event, events.Interrupted):
            self.sends["last"] = []
        is_requested = isinstance(record.event, events.Requested | events.Connected)
        connection = self.state.sessions[record.session].connection
        is_ending = connection.closing is not None or connection.status in _OVER
        if is_ending and self.ended_at is None:
            self.ended_at = record.at
        commands = react(before, record, self.state)
        self.commands += commands
        for command in commands:
            match command:
                case Connect():
                    self.connects.append(command)
                case Disconnect():
                    self.ends.append(command)
                case SwitchTo():
                    self.switches.append(command.epoch)
                case Send(is_last=True):
                    self.sends["last"].append(command)
                case Send():
                    self.sends["requested" if is_requested else "own"].append(command)
                case RunTool():
                    self.calls[command.call_id] = record.at or 0.0
                case WakeAt(at=None):
                    self.alarm = None
                case WakeAt(at=float() as at):
                    # A time in the past means now.
                    self.alarm, self.due = at, max(at, record.at or 0.0)
        self._mark_unsent(record)

    def _check_alarm(self, record: Record) -> None:
        """No record comes long after a tick that was due, as long as anything can."""
        session = self.state.sessions.get(record.session)
        if session is None or session.connection.status in _OVER:
            self.alarm = None
        if self.alarm is not None and record.at is not None:
            assert record.at <= self.due + self.late, record

    def _mark_unsent(self, record: Record) -> None:
        """Since when the next event to send has been waiting, if it can be sent."""
        if not any(self.sends.values()) or not may_send(
            self.state.sessions[record.session]
        ):
            self.unsent_since = None
        elif self.unsent_since is None or record.dir == "out":
            self.unsent_since = record.at

    def _check_calls(self) -> None:
        """Each call was started, except at the very end."""
        if self.is_whole:
            assert all(at == self.ended_at for at in self.calls.values()), self.calls

    def _answer(self, record: Record) -> None:
        event, epoch = record.event, record.epoch
        if record.dir == "out":
            return self._answer_send(record)
        match event:
            case events.Connecting():
                if event.policy is None:
                    command = self.connects.pop(0)
                    assert (command.epoch, command.fact) == (epoch, event)
                else:
                    self._check_calls()
                    self._begin()
                assert epoch not in self.running, "two attempts in one epoch"
                self.running[epoch] = event.attempt
            case events.ConnectFailed():
                assert self.running.pop(epoch, None) == event.attempt
            case events.Connected():
                assert self.running.pop(epoch, None) == event.attempt
                self.opened.add(epoch)
            case events.Disconnected():
                self.ends = [each for each in self.ends if each.epoch != epoch]
                self.running.pop(epoch, None)
                self.opened.discard(epoch)
            case events.Switched():
                assert self.switches.pop(0) == epoch
            case events.Tick():
                assert self.alarm is not None
                assert self.alarm <= (record.at or 0.0)
                self.alarm = None
            case events.ToolStarted():
                given = self.calls.pop(event.call_id, None)
                assert not self.is_whole or given is not None, event.call_id

    def _answer_send(self, record: Record) -> None:
        for lane in self.sends.values():
            if lane and lane[0].event == record.event:
                del lane[0]
                return
        # It is an event of the transport, or of the application for this connection
        # only, so no command waits in its place.
        waiting = [each.event for lane in self.sends.values() for each in lane]
        assert record.event not in waiting
        is_own = record.src is None and is_resent(record.event)
        assert not self.is_whole or not is_own, record

    def finish(self) -> None:
        """No command is left."""
        self._check_calls()
        assert not self.connects
        assert not self.switches
        assert not self.ends
        for session in self.state.sessions.values():
            is_over = session.connection.status in _OVER
            if self.is_whole:
                assert is_over
                assert not self.running
                assert not self.opened
            assert not any(self.sends.values()) or not may_send(session)
