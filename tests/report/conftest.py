"""A synthetic study in the formats that the report reads: planted laws, noise, every status.

Three budgets, seven sizes, five batch sizes, two negatives arms, one diverged and one failed run.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.calibration import calibration
from behavior_scaling.laws.results import Agreement, AxisFit, CurveFit, Estimate
from behavior_scaling.report.figures import make_figures
from behavior_scaling.report.names import FIGURES

from . import report_calibration, report_joint_laws, report_prediction

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
NDCG = "validation/restored/all/ndcg@10"
BUDGETS = (1e10, 3e10, 1e11)
UNIQUE = 78_000  # unique training positions


def planted_loss(n: float, d: float) -> float:
    return 5.9 + 9.0 / n**0.33 + 38.0 / d**0.36


def cost(n: float) -> float:
    return 8.0 * n + 6 * 256 * 2.2 * math.sqrt(n) / 4


def make_run(rng: np.random.Generator, **given: Any) -> dict[str, Any]:
    """One row of the runs table; `given` names what is not at the base point."""
    c, n = given["budget"], float(given.pop("n", 5000.0))
    share = given.get("share", 0.10)
    d = round(given.get("positions", c / cost(n)))
    effect = given.pop("effect", 0.0)
    loss = planted_loss(n, d) + effect + 0.008 * rng.standard_normal()
    recall = 1 / (1 + math.exp(1.62 * (loss - 5.48)))
    row = {
        "study": "quick", "source": "ml-100k", "arm": "", "seed": 0, "stage": 1,
        "outcome": "done", "error": None,
        "parent": None, "n_emb": round(n * share), "n_ctx": round(n * (1 - share)),
        "n_total": round(n), "share": share, "n_trainable": round(n), "d_model": 16, "layers": 1,
        "embedder_kind": "transformer", "embedder_width": 8, "embedder_depth": 1, "batch": 16,
        "context": 64, "tokens": 12, "in_batch": 256, "uniform": 0, "n_cand": 256,
        "n_cand_distinct": 198.4, "objective": "corrected", "lr": 0.01, "positions": d,
        "unique_positions": UNIQUE, "epochs": d / UNIQUE, "d_over_n": d / n, "steps": d // 1000,
        "steps_after_warmup": int(0.95 * d / 1000), "flops_nominal": c, "train_loss": loss - 2.4,
        "seconds": c / 4e9, "events_per_second": 4e9 * d / c, "n_items": 1682, "control": False,
        LOSS: loss, RECALL: recall, NDCG: 0.52 * recall + 0.001 * rng.standard_normal(),
        "validation/restored/all/accuracy": 0.1 * recall,
        "validation/restored/session_start/cross_entropy": loss + 0.31,
    } | given  # fmt: skip
    row["id"] = hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()
    return row


def make_runs() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    rows = []
    sizes = [900, 1600, 2600, 4000, 6500, 11000, 18000, 30000, 50000]
    for index, c in enumerate(BUDGETS):
        for n in sizes[index : index + 7]:
            for seed in (0, 1) if c == 1e10 else (0,):
                rows.append(make_run(rng, axis="allocation", budget=c, n=n, seed=seed))
    for c in BUDGETS[1:]:
        for share in (0.0, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5):
            effect = 0.35 * share + 0.0016 / share**0.8 if share else 0.14
            rows.append(
                make_run(
                    rng, axis="share", budget=c, n=(c / 500) ** 0.5, share=share, effect=effect,
                    control=share == 0, n_emb=round((c / 500) ** 0.5 * share),
                )
            )  # fmt: skip
        for batch in (2, 4, 8, 16, 32):
            rows.append(
                make_run(
                    rng, axis="batch", arm="clean", budget=c, batch=batch, effect=0.0011 * batch
                )
            )
        for k in (0, 64, 256, 1024):
            low = {"in_batch": 128, "uniform": k, "n_cand_distinct": 105.0 + 0.97 * k}
            effect = 0.9 / (105 + k) ** 0.5 + 0.00006 * k
            rows.append(
                make_run(
                    rng, axis="negatives", arm="uniform", budget=c, effect=effect, stage=2,
                    control=k == 0, **low,
                )
            )  # fmt: skip
        for m in (64, 256, 1024):
            distinct = 1682 * (1 - math.exp(-m / 1300)) * 0.8
            rows.append(
                make_run(
                    rng, axis="negatives", arm="popular", budget=c, in_batch=m, stage=2,
                    n_cand_distinct=distinct, effect=0.8 / m**0.5,
                )
            )  # fmt: skip
    frame = pd.DataFrame(rows)
    for row, outcome, error in ((3, "diverged", "loss is not finite at step 41"),
                                (len(frame) - 1, "failed", "out of memory")):  # fmt: skip
        frame.loc[row, "outcome"], frame.loc[row, "error"] = outcome, error
        metrics = [name for name in frame.columns if "/" in name or name == "train_loss"]
        frame.loc[row, metrics] = np.nan
    return frame


def estimate(value: float, spread: float, status: Any = "converged", reason: str = "") -> Estimate:
    return Estimate(value, value / spread, value * spread, status, reason)


def nothing(status: Any, reason: str) -> Estimate:
    return Estimate(None, None, None, status, reason)


def parabola(x: np.ndarray, y: np.ndarray, spread: float) -> tuple[Estimate, Estimate, Any, Any]:
    a, b, c = np.polyfit(np.log(x), y, 2)
    grid = np.geomspace(x.min(), x.max(), 41)
    curve = np.polyval((a, b, c), np.log(grid))
    vertex = math.exp(-b / (2 * a)) if a else math.inf
    inside = x.min() < vertex < x.max()
    found = estimate(vertex, spread) if inside else nothing("vertex outside the grid", "")
    best = float(np.polyval((a, b, c), math.log(vertex))) if inside else None
    shown = (
        Estimate(best, best - 0.01 * abs(best) / 7, best + 0.01 * abs(best) / 7, "converged")
        if best is not None
        else nothing("vertex outside the grid", "")
    )
    return found, shown, tuple(grid.tolist()), tuple(curve.tolist())


def make_fit(
    runs: pd.DataFrame, axis: str, arm: str, metric: str, x: str, spread: float
) -> AxisFit:
    rows = runs[(runs.axis == axis) & (runs.arm == arm) & (runs.outcome == "done") & ~runs.control]
    curves = []
    for budget, group in rows.groupby("budget"):
        xs, ys = group[x].to_numpy(float), group[metric].to_numpy(float)
        if len(set(xs)) >= 5:
            found, best, grid, curve = parabola(xs, ys, spread)
        else:
            found = nothing("too few points", f"{len(set(xs))} cells, 5 are needed")
            best, grid, curve = found, (), ()
        d_over_n = float(np.interp(found.value or 1.0, xs, group.d_over_n))
        curves.append(
            CurveFit(
                budget=float(budget), runs=len(group), cells=len(set(xs)), optimum=found,
                best=best, coefficients={"a": estimate(0.02, 1.3)}, curve_x=grid, curve_y=curve,
                noise=0.008, flags=("data-limited",) if budget == 1e11 else (),
                derived={
                    "D": estimate(float(budget) / cost(found.value), spread),
                    "D_over_N": estimate(d_over_n, spread**1.5),
                } if axis == "allocation" and found.value else {},
            )
        )  # fmt: skip
    exponents = (
        {"N": Estimate(0.52, 0.41, 0.63, "converged"), "D": Estimate(0.48, 0.37, 0.59, "converged")}
        if axis == "allocation"
        else {axis: nothing("too few points", "2 budgets, 3 are needed")}
    )
    return AxisFit(
        axis, arm, metric, "parabola in log N", "none", x, tuple(curves), exponents, ("a note",)
    )


def make_agreement(runs: pd.DataFrame) -> list[Agreement]:
    rows = []
    for (axis, arm, budget), group in runs[runs.outcome == "done"].groupby(
        ["axis", "arm", "budget"]
    ):
        for loss in ("train_loss", LOSS):
            rho = -float(group[loss].corr(group[RECALL], method="spearman"))
            found = (
                Estimate(rho, max(-1.0, rho - 0.3), min(1.0, rho + 0.2), "converged")
                if len(group) >= 7
                else nothing("too few points", f"{len(group)} cells, 7 are needed")
            )
            p_value = 0.01 if len(group) >= 7 else None
            rows.append(
                Agreement(
                    str(axis), str(arm), float(budget), loss, RECALL, len(group), found, p_value
                )
            )
    pooled = Estimate(0.9, 0.7, 0.97, "converged")
    return [*rows, Agreement("all", "", None, LOSS, RECALL, len(runs) - 2, pooled, 0.001)]


def make_compute(runs: pd.DataFrame) -> AxisFit:
    done = runs[(runs.axis == "allocation") & (runs.outcome == "done")]
    best = done.groupby("budget")[LOSS].min()
    slope, intercept = np.polyfit(np.log(best.index.to_numpy(float)), np.log(best.to_numpy()), 1)
    grid = np.geomspace(1e10, 1e11, 21)
    coefficients = {
        "E": nothing("not identified", "3 budgets, 5 are needed"),
        "a": estimate(math.exp(intercept), 1.2),
        "b": estimate(-slope, 1.3),
    }
    curve = CurveFit(
        0.0, len(done), 3, nothing("not identified", "a trend has no optimum"),
        nothing("not identified", ""), coefficients, tuple(grid.tolist()),
        tuple(np.exp(intercept + slope * np.log(grid)).tolist()), 0.008,
    )  # fmt: skip
    return AxisFit(
        "compute", "", LOSS, "L = a·C^−b (no floor: fewer than 5 budgets)", "log", "budget",
        (curve,), {},
    )  # fmt: skip


def write_results(root: Path) -> Path:
    runs = make_runs()
    (root / "laws").mkdir(parents=True)
    runs.to_parquet(root / "runs.parquet")
    floors = {
        "unigram": {"cross_entropy": 6.73, "recall@10": 0.039, "ndcg@10": 0.02},
        "recency": {"cross_entropy": None, "recall@10": 0.004, "ndcg@10": 0.002},
        "markov": {"cross_entropy": 6.41, "recall@10": 0.097, "ndcg@10": 0.05},
        "item_knn": {"cross_entropy": None, "recall@10": 0.081, "ndcg@10": 0.04},
    }
    counts = {"n_positions": 8000, "n_users": 140, "train_share": 1.0}
    whole = {name: values | counts for name, values in floors.items()}
    small = {name: values | counts | {"n_positions": 208} for name, values in floors.items()}
    parts = {"all": whole, "session_start": small}
    (root / "floors.json").write_text(json.dumps({"validation": parts, "test": parts}))
    plan = {
        "allocation": [("", "n_total", 1.35)],
        "share": [("", "share", 1.8)],
        "batch": [("clean", "batch", 1.9)],
        "negatives": [("uniform", "n_cand_distinct", 2.0), ("popular", "n_cand_distinct", 2.0)],
    }
    for axis, arms in plan.items():
        fits = [
            make_fit(runs, axis, arm, metric, x, spread).to_dict()
            for arm, x, spread in arms
            for metric in (LOSS, RECALL)
        ]
        spoil(axis, fits)
        write_laws(root, axis, {"axis": axis, "fits": fits})
    write_laws(root, "compute", {"axis": "compute", "fits": [make_compute(runs).to_dict()]})
    agreement = [row.to_dict() for row in make_agreement(runs)]
    choices = report_joint_laws.choices()
    write_laws(root, "agreement", {"agreement": agreement, "choice_cost": choices})
    surfaces = [report_joint_laws.surface(runs, metric) for metric in (LOSS, RECALL)]
    write_laws(root, "surface", {"surface": surfaces})
    write_laws(root, "critical_batch", {"critical_batch": report_joint_laws.criticals()})
    write_laws(root, "backtest", {"backtest": report_joint_laws.backtests()})
    write_laws(
        root,
        "prediction",
        {"prediction": report_prediction.predictions(), "lift": report_prediction.lifts()},
    )
    write_laws(root, "calibration", calibration(report_calibration.make_runs()))
    return root


def spoil(name: str, fits: list[dict[str, Any]]) -> None:
    """Give some curves the statuses that a fit may end with."""
    bound = {"value": None, "low": None, "high": 2.0, "reason": ""}
    if name == "allocation":
        outside = bound | {"status": "vertex outside the grid", "low": 4e4, "high": None}
        fits[1]["curves"][2]["optimum"] |= outside
        fits[1]["curves"][2]["best"] |= {"status": "vertex outside the grid", **bound}
        fits[1]["curves"][2]["derived"] = {}
    if name == "share":
        reason = "one term alone fits as well: ΔAICc 2.1, 4 is asked"
        fits[1]["curves"][0]["optimum"] |= bound | {"status": "not identified", "high": None,
                                                    "reason": reason}  # fmt: skip
    if name == "batch":
        fits[0]["curves"][1]["optimum"]["status"] = "at bound"


def write_laws(root: Path, name: str, body: dict[str, Any]) -> None:
    (root / "laws" / f"{name}.json").write_text(json.dumps(body, allow_nan=False))


@pytest.fixture(scope="session")
def shared_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic study; tests must not write to it."""
    return write_results(tmp_path_factory.mktemp("results") / "quick")


@pytest.fixture(scope="session")
def drawn(shared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every figure of the synthetic study, drawn once."""
    out = tmp_path_factory.mktemp("figures")
    make_figures(FIGURES, shared_results, shared_results / "floors.json", out)
    return out


@pytest.fixture
def results_dir(shared_results: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic study that a test may change."""
    return Path(shutil.copytree(shared_results, tmp_path / "quick"))


@pytest.fixture
def edit_laws(results_dir: Path) -> Callable[[str, Callable[[dict[str, Any]], None]], None]:
    """Change a laws file in place."""

    def edit(name: str, change: Callable[[dict[str, Any]], None]) -> None:
        path = results_dir / "laws" / f"{name}.json"
        body = json.loads(path.read_text())
        change(body)
        path.write_text(json.dumps(body))

    return edit
