"""The results block of the README, written from numbers.json between two markers.

Choices: the opening marker names the study that the block belongs to, so that promoting another
study leaves it alone; nothing outside the markers is touched, and a README without them is an
error, so that a number can never be left behind in a text that nobody generates; the table holds
the claims that have short words in claims.yaml, the paper holds them all.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from behavior_scaling.files import write_text
from behavior_scaling.report import tidy
from behavior_scaling.report.claims_file import load_claims, marks_text
from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.number import Numbers

BEGIN = re.compile(r"<!-- results:begin study=([a-z0-9-]+) -->")
END = "<!-- results:end -->"
VERDICTS = (
    "replicated", "consistent", "contradicted", "out_of_range", "not_identified", "not_measured",
)  # fmt: skip


def update_readme(readme: Path, numbers: Numbers) -> bool:
    """Rewrite the block if it belongs to the numbers' study; returns whether the file changed.

    Raises:
        ReportError: a marker is missing or stands twice, or a number is missing.
    """
    text = readme.read_text()
    starts = list(BEGIN.finditer(text))
    if len(starts) != 1 or text.count(END) != 1 or starts[0].start() > text.index(END):
        raise ReportError(
            f"{readme}: needs one '<!-- results:begin study=NAME -->' and, after it, one '{END}'"
        )
    start = starts[0]
    if start[1] != numbers["study.name"]["text"]:
        return False
    block = results_block(numbers)
    updated = f"{text[: start.end()]}\n{block}\n{text[text.index(END) :]}"
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
    claims = pd.DataFrame(
        {
            "the paper says": claim.short,
            "its value": say(f"claims.by_id.{claim.id}.paper"),
            "ours": say(f"claims.by_id.{claim.id}.brief"),
            "verdict": say(f"claims.by_id.{claim.id}.verdict"),
        }
        for claim in load_claims().claims
        if claim.short
    )
    counts = [f"{say(f'claims.{name}')} {name.replace('_', ' ')}" for name in VERDICTS]
    return "\n".join(
        [
            "",
            f"![The four axes of study {study}](figures/{study}/main.png)",
            "",
            f"Study `{study}` on {say('study.source')}: {say('runs.done')} of "
            f"{say('runs.total')} runs, {say('runs.budgets')} FLOPs (the paper: 10¹⁵ to 10¹⁹). "
            f"Floors: {tidy.escape(say('floors.reached'))}.",
            "",
            tidy.markdown(claims),
            "",
            f"All {say('claims.total')} statements: {', '.join(counts)}. Marks say how well the "
            f"paper's value is known: {tidy.escape(marks_text())}.",
            "",
        ]
    )
