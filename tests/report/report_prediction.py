"""Planted laws/prediction.json: a committed prediction of 1e11, scored, and one in hindsight.

By loss two of three cells were run, one of them outside its interval, and the lift is 4% off; by
recall@10 nothing of the surface and no run; share is predicted by the last budget alone.
"""

from __future__ import annotations

from typing import Any

from .report_joint_laws import LOSS, RECALL, known, unknown

Row = dict[str, Any]


def said(value: float, margin: float, inside: bool | None) -> Row:
    return {"value": value, "low": value - margin, "high": value + margin, "inside": inside}


def score(cells: int, rmse: float, coverage: float) -> Row:
    return {"cells": cells, "rmse": rmse, "error": 0.01, "coverage": coverage, "half_width": 0.1}


def compared(of: str, forecast: str, value: Row, found: Row, error: float | None) -> Row:
    agrees = None if error is None else abs(error) < 0.1
    return {"of": of, "forecast": forecast, "predicted": value, "found": found, "error": error,
            "agrees": agrees}  # fmt: skip


def cell(x: float, observed: float | None, surface: Row | None, last: Row) -> Row:
    forecasts = {"surface": surface, "last": last, "log_linear": None}
    runs = 0 if observed is None else 2
    return {"x": x, "observed": observed, "runs": runs, "planned": 2, "forecasts": forecasts}


def predictions() -> list[Row]:
    base = {
        "metric": LOSS, "axis": "allocation", "arm": "", "held_out": 1e11, "hindsight": False,
        "made": "2026-03-04", "same_runs": True, "level": 0.95, "status": "converged",
        "reason": "", "trained_on": 28, "noise": 0.005,
    }  # fmt: skip
    found = known(9500.0, 8800.0, 10100.0)
    loss = base | {
        "cells": [
            cell(4e3, 6.10, said(6.12, 0.05, True), said(6.3, 0.02, False)),
            cell(8e3, 6.00, said(6.08, 0.05, False), said(6.2, 0.02, False)),
            cell(16e3, None, said(6.1, 0.05, None), said(6.25, 0.02, None)),
        ],
        "scores": {"surface": score(2, 0.0583, 0.5), "last": score(2, 0.2, 0.0)},
        "optimum": [
            compared("N", "surface", known(9000.0, 8000.0, 10000.0), found, -0.0526),
            compared("N", "per_axis", unknown("too few points", "2 budgets"), found, None),
            compared("best", "surface", known(6.08, 6.05, 6.11), known(6.0, 5.99, 6.01), 0.0133),
            compared("best", "power_law", known(6.6, 6.5, 6.7), known(6.0, 5.99, 6.01), 0.1),
        ],
    }  # fmt: skip
    share = base | {
        "axis": "share", "optimum": [], "same_runs": False,
        "cells": [cell(0.1, 6.2, None, said(6.4, 0.1, False))],
        "scores": {"last": score(1, 0.2, 0.0)},
        "status": "not identified", "reason": "the runs show no data term",
    }  # fmt: skip
    recall = base | {
        "metric": RECALL, "scores": {}, "noise": None, "optimum": [],
        "cells": [cell(4e3, None, None, said(0.1, 0.01, None))],
    }  # fmt: skip
    earlier = loss | {"held_out": 3e10, "hindsight": True, "made": None,
                      "scores": {"surface": score(3, 0.02, 1.0)}}  # fmt: skip
    return [loss, share, recall, earlier]


def lifts() -> list[Row]:
    base = {"metric": LOSS, "held_out": 1e11, "hindsight": False, "kind": "step", "from": 3e10,
            "to": 1e11, "doublings": 1.75, "ahead": True, "forecast": "surface",
            "predicted": known(0.26, 0.24, 0.28), "measured": known(0.25, 0.23, 0.27),
            "error": 0.04, "within": True, "agrees": True}  # fmt: skip
    before = {"from": 1e10, "to": 3e10, "doublings": 1.5, "ahead": False}
    return [
        base | before,
        base | before | {"forecast": "power_law", "error": 0.2, "within": False},
        base,
        base | {"forecast": "power_law", "error": 0.2, "within": False,
                "predicted": known(0.3, 0.1, 0.5)},
        base | {"kind": "doubling", "from": 5e10, "doublings": 1.0,
                "predicted": known(0.15, 0.14, 0.16), "measured": known(0.14, 0.12, 0.16),
                "error": 0.0714, "within": False},
        base | {"metric": RECALL, "predicted": unknown(), "measured": unknown("too few points"),
                "error": None, "within": None, "agrees": None},
        base | {"held_out": 3e10, "to": 3e10, "from": 1e10, "hindsight": True},
    ]  # fmt: skip
