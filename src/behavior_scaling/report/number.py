"""One number as the texts print it: raw value, string, origin; and the names of numbers.

Choices: a value that is not identified keeps its key and prints its status, so that a text never
loses a placeholder when a fit fails; keys hold only letters, digits, '_' and '.', so that they
can stand in a template.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypedDict

from behavior_scaling.report.text import LOSS, RECALL

HEADLINE = {"loss": LOSS, "recall": RECALL}


class Number(TypedDict):
    """One number: raw value (None: not identified), printed text, and origin."""

    value: Any
    text: str
    file: str
    key: str


Numbers = dict[str, Number]


def slug(text: str) -> str:
    """A key's part: 'recall@10' gives 'recall_at_10'."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower().replace("@", "_at_")).strip("_")


def entry(value: Any, text: str, file: str, key: str) -> Number:
    """A number, ready to be written."""
    return {"value": value, "text": text, "file": file, "key": key}


def budget_slug(budget: float) -> str:
    """1e10 gives 'c1e10', 3.5e10 'c3p5e10'."""
    return "c" + f"{budget:.3g}".replace("e+", "e").replace(".", "p")


def load_numbers(path: Path) -> Numbers:
    """Read numbers.json; KeyError if it is not one."""
    numbers: Numbers = json.loads(path.read_text())["numbers"]
    return numbers
