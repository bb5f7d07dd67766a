"""One setting at a time: what a varied key changes, against the run with the study's own value.

Choices: a cell is compared with the cell of its `reference` (the same point with the study's own
value, whatever axis or variation ran it). A cell that has the study's own values at a point of its
own (another share, another depth), and one whose reference was not run, is compared with the cell
that most others of its budget refer to; its setting names what of the point is another, after 'at'
where the reference is at that point, too. Runs are compared seed by seed. A difference is told
from none where it exceeds two standard deviations of the difference of two runs, by the seed noise
of their budget; runs of one seed share their draws, so that the verdict is on the careful side.
Without replicates nothing is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.table import NO_LEVEL, cell_codes, metric_values, seed_noise
from behavior_scaling.laws.transforms import is_maximised

if TYPE_CHECKING:
    import pandas as pd

RECALL = LOSS.replace("cross_entropy", "recall@10")
TOLD = 2.0  # standard deviations of a difference
BETTER, WORSE, UNTOLD = "better", "worse", "cannot be told"


Values = dict[Any, dict[int, float]]  # by cell, a metric by seed


def differences(runs: pd.DataFrame, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a varied cell and metric: its value, the reference's, their difference, a verdict.

    Args:
        runs: the whole table, in which references are looked for.
        rows: its rows of variations (not of the learning rate).

    Returns:
        Rows sorted by metric, then from the best difference to the worst; those without one last.
    """
    once = runs.drop_duplicates("id").reset_index(drop=True)
    code = dict(zip(once["id"], cell_codes(once).tolist(), strict=True))
    compared = list(_compared(rows, code))
    found = []
    for metric in (LOSS, RECALL):
        if metric not in runs.columns:
            continue
        values, noise = _values(once, code, metric), seed_noise(runs, metric)
        sign = -1.0 if is_maximised(metric) else 1.0
        part = [
            {"metric": metric, **one.words}
            | _difference(values.get(one.cell, {}), values.get(one.against, {}), sign,
                          noise.get((one.stage, one.words["budget"]), NO_LEVEL))
            for one in compared
        ]  # fmt: skip
        part.sort(key=lambda row: (row["difference"] is None, sign * (row["difference"] or 0.0)))
        found += part
    return found


@dataclass(frozen=True)
class _Compared:
    """A varied cell and the cell that it is held against."""

    cell: int
    against: int | None
    stage: int
    words: dict[str, Any]


def _compared(rows: pd.DataFrame, code: dict[str, int]) -> Iterator[_Compared]:
    """Each varied cell of a variation once; the reference itself is not among them."""
    asked = [code.get(run) for run in rows["reference"]]
    cells = list(
        zip(rows.to_dict("records"), [code[run] for run in rows["id"]], asked, strict=True)
    )
    counts: dict[float, Counter[int]] = {}
    for row, cell, reference in cells:
        if reference is not None and reference != cell:
            counts.setdefault(row["budget"], Counter())[reference] += 1
    hubs = {budget: count.most_common(1)[0][0] for budget, count in counts.items()}
    points = {ref: _point(row) for row, cell, ref in cells if ref is not None}
    seen: set[tuple[str, int]] = set()
    for row, cell, reference in cells:
        own, hub = reference == cell, hubs.get(row["budget"])
        against = hub if own or reference is None else reference
        if cell in (hub, against) or (row["arm"], cell) in seen:
            continue
        seen.add((row["arm"], cell))
        setting, point = str(row["cell"]).partition(" ")[0], _point(row)
        moved = [] if hub is None else _apart(point, points[hub])
        same = ["at"] if against == reference and moved else []
        named = moved if own and moved else [setting, *same, *moved]
        words = {"variation": row["arm"], "setting": " ".join(named), "point": point}
        words |= {"budget": float(row["budget"]), "outcome": row["outcome"]}
        yield _Compared(cell, against, int(row["stage"]), words)


def _point(row: dict[Any, Any]) -> str:
    """'N=22000 s=0.25 depth=1' of a label (sweep/axes.py)."""
    return str(row["cell"]).partition(" ")[2]


def _apart(point: str, other: str) -> list[str]:
    """What of a point differs from another's."""
    known = set(other.split())
    return [word for word in point.split() if word not in known]


def _values(once: pd.DataFrame, code: dict[str, int], metric: str) -> Values:
    found: Values = {}
    done = once["outcome"] == "done"
    for run, seed, value in zip(
        once["id"][done], once["seed"][done], metric_values(once[done], metric), strict=True
    ):
        if np.isfinite(value):
            found.setdefault(code[run], {})[int(seed)] = float(value)
    return found


def _difference(
    one: dict[int, float], other: dict[int, float], sign: float, noise: NoiseLevel
) -> dict[str, Any]:
    """Means over the seeds that both have (all, if none), their difference, the verdict."""
    seeds = sorted(set(one) & set(other))
    ours = [one[seed] for seed in seeds] or list(one.values())
    theirs = [other[seed] for seed in seeds] or list(other.values())
    row: dict[str, Any] = {
        "value": float(np.mean(ours)) if ours else None, "runs": len(ours),
        "reference": float(np.mean(theirs)) if theirs else None, "reference_runs": len(theirs),
        "difference": None, "sd": None, "verdict": UNTOLD,
    }  # fmt: skip
    if not ours or not theirs:
        return row | {"reason": "no reference run" if ours else "no finished run"}
    row["difference"] = row["value"] - row["reference"]
    if noise.variance is None:
        return row | {"reason": "one seed: the noise of a run is not known"}
    row["sd"] = float(np.sqrt(noise.variance * (1 / len(ours) + 1 / len(theirs))))
    if abs(row["difference"]) >= TOLD * row["sd"]:
        row["verdict"] = BETTER if sign * row["difference"] < 0 else WORSE
    return row | {"reason": ""}
