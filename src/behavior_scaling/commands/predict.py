"""`predict`: say what the largest budget will give, in a file to be committed before it runs."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from behavior_scaling.config import load_study
from behavior_scaling.files import read_json
from behavior_scaling.laws.prediction import make_prediction
from behavior_scaling.laws.write import write_laws
from behavior_scaling.layout import Layout


def predict(args: Namespace) -> int:
    """Write results/archive/<study>/prediction.json; one that is there and differs stays."""
    study = load_study(args.config)
    place = Layout(args.results, study)
    if study.axes.allocation is None:
        raise ValueError(f"predict: {study.name} has no allocation axis, so no budget to predict")
    if not place.runs.is_file():
        raise ValueError(
            f"{place.runs}: missing; `behavior-scaling collect` writes it, the runs still to come "
            "included"
        )
    held_out = args.below if args.below is not None else max(study.axes.allocation.budgets)
    made = {"study": study.name, "date": datetime.now(UTC).date().isoformat()}
    made |= make_prediction(pd.read_parquet(place.runs), held_out)
    _write(made, place.prediction)
    print("\n".join(_described(made)))
    return 0


def _write(made: dict[str, Any], path: Path) -> None:
    """Write it once.

    Raises:
        ValueError: another prediction stands there.
    """
    if not path.is_file():
        write_laws({path.stem: made}, path.parent)
        print(f"wrote {path}: commit it before the budget runs")
        return
    before = read_json(path, "restore it from git")
    with TemporaryDirectory() as folder:
        (written,) = write_laws({path.stem: made}, Path(folder))
        same = read_json(written, "run it again") | {"date": before.get("date")} == before
    if not same:
        raise ValueError(
            f"{path}: a prediction of {before.get('held_out')} FLOPs, made on "
            f"{before.get('date')}, differs from this one; a prediction is made once and kept"
        )
    print(f"{path}: the same prediction was made on {before.get('date')}; kept")


def _described(made: dict[str, Any]) -> list[str]:
    ids = len(made["made_from"]["runs"])
    lines = [f"{made['held_out']:g} FLOPs, from {ids} runs below"]
    for metric, one in made["metrics"].items():
        if one["status"] != "converged":
            lines.append(f"  {metric}: {one['status']}: {one['reason']}")
            continue
        said = [
            f"{name} {_interval(one['optimum'][name]['surface'])}" for name in ("N", "D", "best")
        ]
        last = [step for step in one["lift"] if step["kind"] == "step"][-1]
        said.append(f"lift from {last['from']:g} {_interval(last['forecasts']['surface'])}")
        lines.append(f"  {metric}: " + ", ".join(said))
    return lines


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return str(estimate["status"])
    ends = [f"{v:.4g}" if v is not None else "open" for v in (estimate["low"], estimate["high"])]
    return f"{estimate['value']:.4g} ({ends[0]} to {ends[1]})"
