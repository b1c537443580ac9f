"""The screen of ``talk``: a panel for each session.

Pure functions of a `ScreenState`. Only the last lines that fit are rendered, so the
cost does not grow with the conversation.
"""

from __future__ import annotations

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from duologue.core import (
    CallLine,
    CallState,
    Problem,
    Session,
    SessionStatus,
    Transcript,
    select_is_muted,
    select_is_speaking,
    select_latest,
    select_problems,
    select_turn,
)

from ..shared.control_characters import single_line
from ..shared.session_report import model_name, speaker, usage_text, words_of

__all__ = ["QUIETEST_DBFS", "PanelState", "ScreenState", "draw", "grid"]

#: The lower end of the level meters.
QUIETEST_DBFS = -60.0
#: The smallest panel: two borders, the meters, and some lines.
_MIN_WIDTH, _MIN_HEIGHT = 40, 7
#: The number of problems and of messages that are shown.
_PROBLEMS, _MESSAGES = 2, 3

_STATUS = {
    SessionStatus.CONNECTING: ("connecting …", "yellow"),
    SessionStatus.OPEN: ("open", "green"),
    SessionStatus.RECONNECTING: ("reconnecting …", "yellow"),
    SessionStatus.CLOSED: ("closed", "dim"),
    SessionStatus.FAILED: ("failed", "red"),
}
_CALL_STYLE = {
    CallState.RUNNING: "yellow",
    CallState.DONE: "green",
    CallState.FAILED: "red",
    CallState.CUT_OFF: "red",
}


@attrs.frozen(kw_only=True)
class PanelState:
    """One session with its audio levels in dBFS; None if the level is not measured."""

    number: int
    session: Session
    input_dbfs: float | None = None
    output_dbfs: float | None = None


@attrs.frozen(kw_only=True)
class ScreenState:
    """The content of the screen.

    ``focus`` is the number of the session that gets the user's input, ``typed`` the
    unfinished input line (None without typing), ``messages`` those of the command.
    """

    panels: tuple[PanelState, ...]
    focus: int = 1
    typed: str | None = None
    messages: tuple[str, ...] = ()

    def is_like(self, other: ScreenState) -> bool:
        """Whether both look the same; sessions are compared by identity."""
        return (
            (self.focus, self.typed, self.messages)
            == (other.focus, other.typed, other.messages)
            and len(self.panels) == len(other.panels)
            and all(
                mine.session is its.session
                and (mine.input_dbfs, mine.output_dbfs)
                == (its.input_dbfs, its.output_dbfs)
                for mine, its in zip(self.panels, other.panels, strict=True)
            )
        )


def draw(state: ScreenState) -> RenderableType:
    """Return a renderable that fills the screen at any size."""
    return _Screen(state)


class _Screen:
    def __init__(self, state: ScreenState) -> None:
        self._state = state

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        footer = self._footer()
        free = max(1, height - len(footer))
        rows, columns = grid(len(self._state.panels), width, free)
        layout = Layout()
        layout.split_column(
            *(self._row(row, columns) for row in self._shown(rows, columns)),
            Layout(Group(*footer), size=len(footer), visible=bool(footer)),
        )
        yield from console.render(layout, options.update(height=height))

    def _shown(self, rows: int, columns: int) -> list[tuple[PanelState, ...]]:
        """The panels in rows; if not all fit, the page with the focus."""
        panels, page = self._state.panels, rows * columns
        first = (self._state.focus - 1) // page * page
        shown = panels[first : first + page]
        return [shown[at : at + columns] for at in range(0, len(shown), columns)] or [
            ()
        ]

    def _row(self, panels: tuple[PanelState, ...], columns: int) -> Layout:
        row = Layout()
        cells = [Layout(self._panel(panel)) for panel in panels]
        blank = [Layout(Text(" ")) for _ in range(columns - len(cells))]
        row.split_row(*cells, *blank)
        return row

    def _panel(self, panel: PanelState) -> Panel:
        is_focus = panel.number == self._state.focus
        count = len(self._state.panels)
        return Panel(
            _PanelBody(panel),
            title=_title(panel, count),
            title_align="left",
            subtitle=Text(usage_text(panel.session) or "no tokens yet", style="dim"),
            subtitle_align="right",
            border_style="cyan" if is_focus and count > 1 else "dim",
            padding=(0, 1),
        )

    def _footer(self) -> list[Text]:
        state = self._state
        shown = state.messages[-_MESSAGES:]
        lines = [_line(single_line(message), style="dim") for message in shown]
        if state.typed is not None:
            lines.append(_prompt(state.typed, state.focus, len(state.panels)))
        return lines


def grid(count: int, width: int, height: int) -> tuple[int, int]:
    """The rows and columns for ``count`` panels, or for as many as fit."""
    count = max(1, count)
    most = max(1, width // _MIN_WIDTH)
    for columns in range(1, min(count, most) + 1):
        rows = -(-count // columns)
        if height // rows >= _MIN_HEIGHT:
            return rows, columns
    return max(1, height // _MIN_HEIGHT), min(count, most)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _prompt(typed: str, focus: int, count: int) -> Text:
    """The input line, cropped to its end, with the cursor."""
    to = f"to {focus}> " if count > 1 else "> "
    prompt = Text(to, style="bold", no_wrap=True, overflow="crop")
    return prompt.append(single_line(typed)[-200:], style="not bold").append("▏")


def _title(panel: PanelState, count: int) -> Text:
    session = panel.session
    name, style = _STATUS[session.connection.status]
    title = Text(f"{panel.number} of {count}  " if count > 1 else "", style="bold")
    title.append(name, style=style)
    if session.connection.reason:
        title.append(
            f" ({single_line(session.connection.reason)})", style="not bold dim"
        )
    if model := model_name(session):
        title.append(f"  {single_line(model)}", style="not bold dim")
    return title


class _PanelBody:
    """The content of a panel: the last lines, the last problems, the level meters."""

    def __init__(self, panel: PanelState) -> None:
        self._panel = panel

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        height = options.height or console.height
        options = options.reset_height()
        below = console.render_lines(Group(*self._below()), options)[:height]
        free = height - len(below)
        lines = self._latest(console, options, free)
        blank = [[Segment("")] for _ in range(free - len(lines))]
        for line in (*lines, *blank, *below):
            yield from line
            yield Segment.line()

    def _latest(
        self, console: Console, options: ConsoleOptions, height: int
    ) -> list[list[Segment]]:
        """The last lines of the conversation, at most ``height``."""
        session = self._panel.session
        room = height * options.max_width
        latest: list[list[Segment]] = []
        for entry in reversed(select_latest(session, height)):
            if len(latest) >= height:
                break
            if isinstance(entry, Transcript):
                text = _message_text(session, entry, room)
            else:
                text = _call_text(entry, room)
            latest[:0] = console.render_lines(text, options)
        return latest[max(0, len(latest) - height) :]

    def _below(self) -> list[RenderableType]:
        problems = select_problems(self._panel.session)[-_PROBLEMS:]
        return [*map(_problem, problems), _meters(self._panel)]


def _message_text(session: Session, line: Transcript, room: int) -> Text:
    text = Text(speaker(session, line), style="bold")
    if times := select_turn(session, line.item_id):
        ms = times.first_audio_ms
        ms = times.first_text_ms if ms is None else ms
        if ms is not None:
            text.append(f" {ms:.0f} ms", style="not bold cyan")
    return text.append(": ").append_text(words_of(line, room, empty="…"))


def _call_text(call: CallLine, room: int) -> Text:
    """A tool call: its name, arguments, state, and output or error."""
    text = Text("→ ", style="dim")
    where = f"{call.server}: " if call.server else ""
    text.append(single_line(f"{where}{call.name}"), style="not dim bold")
    text.append(single_line(f"({call.arguments[:room]})"), style="not dim")
    text.append(f"  {call.state.value}", style=_CALL_STYLE.get(call.state, ""))
    if call.error:
        text.append(f": {single_line(call.error[:room])}")
    elif call.output is not None:
        text.append(f": {single_line(call.output[:room])}")
    return text


def _problem(problem: Problem) -> Text:
    return _line(f"problem: {single_line(problem.message)}", style="red")


def _meters(panel: PanelState) -> Table:
    """Both level meters on one line; the current speaker is bold."""
    speaks = select_is_speaking(panel.session)
    meters = Table.grid(expand=True, padding=(0, 1, 0, 0))
    cells: list[RenderableType] = []
    muted = select_is_muted(panel.session)
    for name, role, level in (
        ("you (muted)" if muted else "you", "user", panel.input_dbfs),
        ("assistant", "assistant", panel.output_dbfs),
    ):
        meters.add_column(no_wrap=True)
        meters.add_column(ratio=1)
        cells.append(Text(name, style="bold green" if speaks == role else "dim"))
        cells.append(Text() if level is None else _level_meter(level))
    meters.add_row(*cells)
    return meters


def _level_meter(level: float) -> ProgressBar:
    shown = max(0.0, level - QUIETEST_DBFS)
    return ProgressBar(total=-QUIETEST_DBFS, completed=shown, complete_style="green")
