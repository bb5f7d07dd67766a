"""The results block of the README, written from numbers.json between two markers.

Choices: nothing outside the markers is touched, and a README without them is an error, so that
a number can never be left behind in a text that nobody generates.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from behavior_scaling.files import write_text
from behavior_scaling.laws.table import AXES
from behavior_scaling.report import tidy
from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.number import Numbers
from behavior_scaling.report.text import AXIS_TITLES

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
VERDICTS = (
    "replicated", "consistent", "contradicted", "out_of_range", "not_identified", "not_measured",
)  # fmt: skip


def update_readme(readme: Path, numbers: Numbers) -> bool:
    """Rewrite the block between the markers; returns whether the file changed.

    Raises:
        ReportError: a marker is missing or stands twice, or a number is missing.
    """
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ReportError(f"{readme}: needs one '{BEGIN}' and, after it, one '{END}'")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    updated = f"{before}{BEGIN}\n{results_block(numbers)}\n{END}{after}"
    if updated == text:
        return False
    write_text(readme, updated)
    return True


def results_block(numbers: Numbers) -> str:
    """The block's Markdown.

    Raises:
        ReportError: a number that it prints is missing.
    """

    def say(key: str) -> str:
        if key not in numbers:
            raise ReportError(f"numbers.json: {key!r} is missing; run `behavior-scaling numbers`")
        return numbers[key]["text"]

    study = say("study.name")
    optima = pd.DataFrame(
        {
            "axis": f"{axis}: {AXIS_TITLES[axis]}",
            "optimum by validation loss (95% interval)": say(f"{axis}.loss"),
            "by recall@10": say(f"{axis}.recall"),
            "by loss, joint surface": "–" if axis == "batch" else say(f"joint.loss.{axis}"),
        }
        for axis in AXES
    )
    counts = [f"{say(f'claims.{name}')} {name.replace('_', ' ')}" for name in VERDICTS]
    return "\n".join(
        [
            "",
            f"Study `{study}` on {say('study.source')}: {say('runs.done')} of "
            f"{say('runs.total')} runs finished, at {say('runs.budgets')} FLOPs; each event was "
            f"seen {say('data.epochs_min')} to {say('data.epochs_max')} times.",
            "",
            tidy.markdown(optima),
            "",
            f"Floors: {tidy.escape(say('floors.reached'))}. Best cell: loss "
            f"{say('best.loss')} nats per event, recall@10 {say('best.recall')}.",
            "",
            f"Of {say('claims.total')} claims held against the paper: {', '.join(counts)}.",
            "",
            f"![IsoFLOP curves of the study](figures/{study}/allocation.svg)",
            "",
        ]
    )
