"""Studies of every kind of embedder: what the keys may say, and what is planned from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from behavior_scaling.config import ConfigError, load_study, parse_study, study_schema
from behavior_scaling.sweep.explain import explain
from behavior_scaling.sweep.plan import make_plan

ROOT = Path(__file__).parents[2]


def _raw(kind: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(load_study(ROOT / "config/quick.yaml").model_dump_json())
    raw["embedder"]["kind"] = kind
    return raw


def _of_a_table() -> dict[str, Any]:
    """The quick study with an id table: no share anywhere."""
    raw = _raw("table")
    raw["axes"]["share"] = None
    for part in (*raw["base"], raw["axes"]["allocation"]):
        part["share"] = part["depth"] = 0
    return raw


@pytest.mark.parametrize("kind", ["transformer", "mlp", "tabtransformer"])
def test_kinds_with_a_share_are_planned(kind: str) -> None:
    """Shapes of that kind, the share axis's control aside."""
    study = parse_study(_raw(kind), "test")
    plan = make_plan(study, 1682)
    assert {cell.embedder.kind for cell in plan.cells} == {kind, "fixed"}
    assert {cell.axis for cell in plan.cells} >= {"allocation", "share", "batch", "negatives"}


def test_a_table_is_planned_by_n_alone() -> None:
    """N is N_ctx, the embedder has the contextualizer's width, parents too."""
    raw = _of_a_table()
    jsonschema.validate(raw, study_schema())
    study = parse_study(raw, "test")
    plan = make_plan(study, 1682)
    assert len(plan.cells) > 20
    for cell in plan.cells:
        assert (cell.embedder.kind, cell.n_emb) == ("table", 0)
        assert (cell.embedder.width, cell.embedder.depth) == (cell.contextualizer.width, 0)
    assert "\n".join(explain(study, plan))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("axes.allocation.share", 0.2, "axes.allocation: with embedder.kind table share and depth"),
        ("axes.allocation.depth", 1, "axes.allocation: with embedder.kind table share and depth"),
        ("axes.share", {"budgets": [1e10], "shares": [0.1], "ratio": 9}, "axes.share: "),
        ("embedder.kind", "mlp", "0 is for embedder.kind table"),
        ("embedder.kind", "tabel", "embedder.kind: .*'tabel' is none of transformer, mlp"),
        ("embedder.kind", "fixed", "embedder.kind: .*'fixed' is none of"),
        ("embedder.kind", "nowhere:Class", "embedder.kind: .*no module 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_refused(path: str, value: Any, says: str) -> None:
    """By its key."""
    raw = _of_a_table()
    *parents, last = path.split(".")
    part = raw
    for key in parents:
        part = part[key]
    part[last] = value
    with pytest.raises(ConfigError, match=says):
        parse_study(raw, "test")
