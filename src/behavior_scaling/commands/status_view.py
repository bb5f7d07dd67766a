"""A study's progress as a page for a terminal.

It holds a table by axis and budget, the runs at work, the totals, and what needs a hand.

Choices: colours only repeat what letters and figures say, so the page reads the same in a file and
without them; every part fits 80 columns; nothing that came from a file is read as markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from behavior_scaling.commands import status_words as words
from behavior_scaling.sweep.progress import Progress, Run, RunState, Span

BAR = 20  # columns
LISTED = 12  # runs at work that are listed
STYLES: dict[RunState, str] = {
    "done": "green", "running": "cyan", "failed": "red", "diverged": "magenta",
    "damaged": "yellow", "waiting": "bright_black",
}  # fmt: skip
MARKS = {
    "done": "█#", "running": "▒>", "failed": "×x", "diverged": "≠~", "damaged": "?",
    "waiting": "·.",
}  # fmt: skip
PROBLEMS: dict[str, str] = {"stale": "cyan"} | {
    str(state): style for state, style in STYLES.items()
}


def page(seen: Progress, places: words.Places, now: datetime) -> RenderableType:
    """Everything; `now` gives the end its time of day."""
    if not seen.runs:
        return Group(
            _title(seen), "no run of this study can be realised (sweep --explain says why)"
        )
    parts: list[RenderableType] = [_title(seen), "", _table(seen)]
    at_work = [run for run in seen.runs if run.state == "running"]
    if at_work:
        parts += ["", _running(at_work)]
    parts += ["", _totals(seen, places, now)]
    told = list(words.problems(seen, places))
    if told:
        parts += ["", _problems(told)]
    return Group(*parts)


class _Bar:
    """Runs by state, side by side, in BAR columns; a state that any run is in has one at least."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._counts = Counter(run.state for run in runs)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        whole = self._counts.total()
        columns = {
            state: max(1, round(BAR * count / whole)) for state, count in self._counts.items()
        }
        widest = max(columns, key=lambda state: (columns[state], state))
        columns[widest] += BAR - sum(columns.values())
        bar = Text()
        for state, style in STYLES.items():
            mark = MARKS[state][-1 if options.ascii_only else 0]
            bar.append(mark * columns.get(state, 0), style)
        yield bar


def _title(seen: Progress) -> Text:
    return Text.assemble((seen.study.name, "bold"), "  ", (seen.study.title, "bright_black"))


def _table(seen: Progress) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bright_black")
    table.add_column("axis", min_width=10)
    table.add_column("budget", justify="right")
    table.add_column("", width=BAR)
    table.add_column("done", justify="right", min_width=7)
    for name in ("work", "fail", "div", "wait"):
        table.add_column(name, justify="right", width=4)
    table.add_column("to run", justify="right", min_width=9)
    groups: dict[tuple[str, float], list[Run]] = {}
    for run in seen.runs:
        groups.setdefault((run.cell.axis, run.cell.budget), []).append(run)
    last = ""
    for (axis, budget), runs in sorted(groups.items(), key=lambda group: _order(seen, group[0])):
        table.add_row(axis if axis != last else "", f"{budget:g}", _Bar(runs), *_cells(runs))
        last = axis
    table.add_row("all", "", _Bar(seen.runs), *_cells(seen.runs), style="bold")
    return table


def _order(seen: Progress, group: tuple[str, float]) -> tuple[int, float]:
    """Axes as in a study file, then what only they need: parents of stage 2."""
    axes = list(type(seen.study.axes).model_fields)
    return axes.index(group[0]) if group[0] in axes else len(axes), group[1]


def _cells(runs: Iterable[Run]) -> list[Text]:
    """Of a row: done of all, at work, failed, diverged, waiting, and their time in sequence."""
    runs = list(runs)
    states = [run.state for run in runs]
    counts: list[tuple[RunState, int]] = [
        ("running", states.count("running")),
        ("failed", states.count("failed")),
        ("diverged", states.count("diverged")),
        ("waiting", states.count("waiting") + states.count("damaged")),
    ]
    left = sum((run.left for run in runs), Span()).value
    done = states.count("done")
    return [
        Text(f"{done}/{len(runs)}", STYLES["done"] if done == len(runs) else ""),
        *(Text(str(count or ""), STYLES[state]) for state, count in counts),
        Text(words.duration(left) if left else ""),
    ]


def _running(runs: list[Run]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bright_black")
    table.add_column("at work", style=STYLES["running"], no_wrap=True)
    table.add_column("run")
    table.add_column("of D", justify="right")
    table.add_column("events/s", justify="right")
    table.add_column("left", justify="right")
    table.add_column("host", overflow="fold")
    for run in sorted(runs, key=lambda one: -one.left.value)[:LISTED]:
        holder = run.holder
        rate = holder.progress.get("events_per_second") if holder else None
        table.add_row(
            run.run_id[: words.SHORT],
            Text(words.name_of(run)),
            "-" if run.share is None else f"{run.share:.0%}",
            "-" if not rate else f"{rate:,.0f}",
            words.duration(run.left.value),
            Text(words.printable(holder.host) if holder else ""),
        )
    if len(runs) > LISTED:
        table.add_row("", f"and {len(runs) - LISTED} more", "", "", "", "")
    return table


def _totals(seen: Progress, places: words.Places, now: datetime) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", width=8)
    grid.add_column(overflow="fold")
    for name, text in words.totals(seen, places, now):
        grid.add_row(name, Text(text))
    return grid


def _problems(told: list[words.Problem]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8)
    grid.add_column(overflow="fold")
    last = ""
    for kind, text in told:
        grid.add_row(Text(kind if kind != last else "", PROBLEMS[kind]), Text(text))
        last = kind
    return grid
