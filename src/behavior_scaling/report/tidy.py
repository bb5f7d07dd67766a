"""Tidy tables: one observation a row, rounded before anything is drawn, written whole.

Choices: 8 significant digits, so that the table says no more than the fit does and a figure drawn
from the table is the figure drawn from the numbers; Markdown beside CSV for reading.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from behavior_scaling.files import replacing, write_text
from behavior_scaling.laws import write


def round_significant(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its floats rounded as in laws/*.json, to 8 significant digits."""
    result = frame.copy()
    for name in result.columns[[dtype.kind == "f" for dtype in result.dtypes]]:
        result[name] = result[name].map(write.round_significant)
    return result


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a tidy table as CSV, 8 significant digits, whole or not at all."""
    with replacing(path) as temporary:
        round_significant(frame).to_csv(
            temporary, index=False, float_format=f"%.{write.DIGITS}g", lineterminator="\n"
        )


def write_markdown(rows: pd.DataFrame, path: Path, note: str = "") -> None:
    """Write a table of strings as a pipe table, a note under it; an empty table says so alone."""
    below = f"\n\n{escape(note)}" if note and not rows.empty else ""
    write_text(path, f"{markdown(rows)}{below}\n")


def markdown(rows: pd.DataFrame) -> str:
    """A pipe table of the strings of `rows`; numbers are worded by the caller."""
    if rows.empty:
        return "*None.*"
    cells = [[escape(str(value)) for value in row] for row in rows.itertuples(index=False)]
    header = [str(name) for name in rows.columns]
    # Pandoc takes the relative widths of wide tables from the dashes.
    widths = [
        4 + min(34, max(len(head), *(len(row[column]) for row in cells)))
        for column, head in enumerate(header)
    ]
    lines = [header, ["-" * width for width in widths], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Plain text as Markdown: 'N*' and 'B_crit' keep their signs, also inside a table."""
    return re.sub(r"([*_|<>^~$`\\])", r"\\\1", text.replace("\n", " "))
