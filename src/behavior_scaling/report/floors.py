"""The floors beside the best run of the study: what a model must beat, and where it does not.

Choices: the best run is the finished one with the lowest validation loss over all positions (a
control aside), the same run for every metric, slice and split, so that no slice chooses its own;
a slice under 500 positions or 100 users is shown and marked, as it is shown and not fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from behavior_scaling.laws.study import MIN_POSITIONS, MIN_USERS
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.text import FLOORS, LOSS, RECALL, join, short_metric, three_decimals

METRICS = ("cross_entropy", "recall@10", "ndcg@10", "mrr@10")
SMALL = f"under {MIN_POSITIONS} positions or {MIN_USERS} users: shown and not fitted"
SESSION_LOSS = LOSS.replace("/all/", "/session_start/")


@dataclass(frozen=True)
class Slice:
    """One slice of one split: every floor, and the best run on the same positions."""

    split: str
    name: str
    rules: dict[str, dict[str, float | int | None]]  # floor, metric
    best: dict[str, float]  # metrics of METRICS that the best run has
    behind: dict[str, str]  # of those, the metrics in which a floor is not beaten, and the best one

    @property
    def positions(self) -> int:
        """Positions of the slice, those of the rule that was scored on most."""
        return max(int(values.get("n_positions") or 0) for values in self.rules.values())

    @property
    def users(self) -> int:
        """Users of the slice."""
        return max(int(values.get("n_users") or 0) for values in self.rules.values())

    @property
    def small(self) -> bool:
        """Whether it is too small for a law."""
        return self.positions < MIN_POSITIONS or self.users < MIN_USERS


def best_run(results: Results) -> dict[str, Any] | None:
    """The finished run with the lowest validation loss, a control aside; None without one."""
    runs = results.runs
    runs = runs[(runs["outcome"] == "done") & ~runs["control"].astype(bool) & runs[LOSS].notna()]
    if runs.empty:
        return None
    return {str(k): v for k, v in runs.sort_values([LOSS, "id"]).iloc[0].to_dict().items()}


def slices(results: Results) -> list[Slice]:
    """Every slice of every split, in the order of the floors file."""
    run = best_run(results) or {}
    found = []
    for split, parts in results.floors.items():
        for part, rules in parts.items():
            best, behind = {}, {}
            for name in METRICS:
                column = f"{split}/restored/{part}/{name}"
                value = run.get(column)
                if value is None or value != value:
                    continue
                best[name] = float(value)
                floor = results.floor_to_beat(column)
                if floor and not beats(name, best[name], floor[1]):
                    behind[name] = floor[0]
            found.append(Slice(split, part, rules, best, behind))
    return found


def beats(metric: str, value: float, floor: float) -> bool:
    """Whether a value is on the better side of a floor."""
    return value < floor if metric.endswith("cross_entropy") else value > floor


def sentence(results: Results, metrics: tuple[str, ...] = (LOSS, RECALL)) -> str:
    """What a model must beat by each metric and what the best run reaches; '' without floors."""
    run = best_run(results) or {}
    parts, missed = [], []
    for metric in metrics:
        floor = results.floor_to_beat(metric)
        if floor is None:
            continue
        name, level = floor
        value = run.get(metric)
        reached = "no run" if value is None or value != value else three_decimals(value)
        rule = FLOORS.get(name, name)
        parts.append(f"{short_metric(metric)} {three_decimals(level)} ({rule}; reached: {reached})")
        if value is not None and not beats(metric, value, level):
            missed.append(short_metric(metric))
    if not parts:
        return ""
    text = f"Floor to beat, and what the run of lowest validation loss reaches: {', '.join(parts)}."
    return text + (f" It stays behind by {join(missed)}." if missed else "")
