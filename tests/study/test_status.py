"""`status`: what it prints of planted stores, word for word."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from behavior_scaling.commands.status_view import page
from behavior_scaling.commands.status_words import (
    Places,
    duration,
    hours,
    line,
    problems,
    spread,
)
from behavior_scaling.sweep.plan import Plan
from behavior_scaling.sweep.progress import Span

from .status_planted import NOON, Planted, halfway, plant


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    return plant(tmp_path, monkeypatch)


# Ratios 2 and 4: 30 s a run. At work: 60 s of training, and a quarter of 30 s for its evaluation.
HALFWAY = """\
tiny  A study of seven runs

axis       budget                         done work fail  div wait    to run
allocation  3e+10 ▒▒▒▒▒▒▒???????······     0/3    1              2     2 min
            1e+11 ████████████████████     2/2
batch       1e+11 ××××××××××≠≠≠≠≠≠≠≠≠≠     0/2         1    1
all               █████▒▒▒×××≠≠≠???···     2/7    1    1    1    2     2 min

at work      run                     of D events/s  left host
ca2f142752d2 allocation N=5000 3e+10  40%       10 1 min node17

left      about 2 min, until 12:02
          0.035 core-hours, on 1 core (at work)
basis     2 finished runs took 3 of their estimate: too few to tell the spread

failed    batch clean B=8 1e+11: ParentError: abababababab*: [red]gone
          results/store/6106cad465be*/log.txt
          mend the cause, then: make retry STUDY=config/tiny.yaml
diverged  batch clean B=16 1e+11: loss is nan at step 117
          results/store/b09be9356d1c*/log.txt
          kept as an outcome and left out of every fit
damaged   allocation N=2600 3e+10: results/store/ea9b7c8961d7*/record.json:
          holds run ea9b7c8961d7*, ?
          the next `snakemake` sets it aside and trains the run again
stale     allocation N=11200 3e+10: node03, process 7, last heard 12 min ago
          results/store/.work/90896d89745f*/log.txt
          whoever comes next takes the run over, from its last checkpoint
"""


def columns(text: str) -> str:
    """Without the blanks at the ends of lines."""
    return "".join(f"{row.rstrip()}\n" for row in text.splitlines())


def test_a_page_that_is_no_terminal_is_plain_text(planted: Planted) -> None:
    halfway(planted)
    text = planted.page()
    assert columns(text) == HALFWAY
    assert "\x1b" not in text
    assert max(len(row) for row in text.splitlines()) <= 80


def test_a_terminal_shows_the_same_words_in_colours(planted: Planted) -> None:
    halfway(planted)
    plain = planted.page()
    coloured = planted.page(force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[32m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    without = planted.page(force_terminal=True, no_color=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", without)


WIDE = """\
tiny  A study of seven runs

axis       budget                         done work fail  div wait    to run
allocation  3e+10 █████████████·······     2/3                   1      30 s
            1e+11 ████████████████████     2/2
batch       1e+11 ██████████··········     1/2                   1      30 s
all               ██████████████······     5/7                   2     1 min

left      about 1 min (28 s to 2 min), until 12:01
          0.017 core-hours (under 0.01 to 0.026), on 1 core (one run at a time)
basis     5 finished runs took 3 of their estimate, eight in ten of them 1.4 to 4.6
"""


def test_a_wider_page_breaks_no_line_that_fits(planted: Planted) -> None:
    for number, seconds in zip((0, 1, 2, 4, 5), (10, 20, 30, 40, 50), strict=True):
        planted.record(number, seconds)
    assert columns(planted.page(width=120)) == WIDE


def test_a_study_without_runs_says_so(planted: Planted) -> None:
    planted.plan = Plan((), (), ())
    assert "no run of this study can be realised" in planted.page()


def test_where_letters_are_ascii_the_bars_are_too(planted: Planted) -> None:
    halfway(planted)
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    places = Places(Path("tiny.yaml"), Path("results"), Path("results/store"))
    Console(file=file, width=80).print(page(planted.look()(), places, NOON))
    file.seek(0)
    assert "#####>>>xxx~~~???..." in file.read()


def test_the_line(planted: Planted) -> None:
    halfway(planted)
    assert line(planted.look()()) == (
        "tiny: 2 of 7 done, 1 running, 1 failed, 1 diverged, 1 damaged; "
        "about 2 min and 0.035 core-hours left"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3580, "1 h"),
     (12000, "3 h 20 min"), (86370, "1 d"), (190800, "2 d 5 h")],
)  # fmt: skip
def test_times_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_hours_and_spreads_in_words() -> None:
    assert [hours(value * 3600) for value in (0.001, 0.123, 3.44, 1234.5)] == [
        "under 0.01", "0.12", "3.4", "1,234",
    ]  # fmt: skip
    assert spread(Span(240, 180, 360)) == "3 to 6 min"
    assert spread(Span(60, 60, 60)) == "1 min"
    assert spread(Span(100, 50, 120)) == "50 s to 2 min"
    assert spread(Span(9000, 3900, 7500)) == "1 h 5 min to 2 h 5 min"


def test_many_problems_are_not_all_told(planted: Planted) -> None:
    runs = tuple(
        dataclasses.replace(run, state="failed", error="OSError: no")
        for run in planted.look()().runs * 2
    )
    seen = dataclasses.replace(planted.look()(), runs=runs)
    told = list(problems(seen, Places(Path("c"), Path("elsewhere"), Path("s"))))
    assert len(told) == 10
    assert told[-2] == ("failed", "and 6 more (--json FILE lists all)")
    assert told[-1][1].endswith("behavior-scaling retry --config c --results elsewhere")
