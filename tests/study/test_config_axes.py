"""Variations, the second series of shares and of batches: what a study file may say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config import ConfigError, load_study, parse_study, with_keys

ROOT = Path(__file__).parents[2]
POINT = {"budget": 1e10, "parameters": 6000, "share": 0.17, "depth": 1}
VARIATION = {"name": "warm", "key": "optimizer.warmup", "values": [0.1], "at": [POINT]}


def quick(**axes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(load_study(ROOT / "config" / "quick.yaml").model_dump_json())
    raw["axes"] = axes
    return raw


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "data.context"}, "data.context: only keys of embedder., contextualizer."),
        ({"set": {"data.source": "ml-1m"}}, "data.source: only keys of embedder."),
        ({"key": "execution.threads"}, "execution.threads: only keys of"),
        ({"name": "Warm up"}, "axes.variations.0.name"),
        ({"values": []}, "axes.variations.0.values"),
        ({"at": []}, "axes.variations.0.at"),
        ({"at": [{**POINT, "share": 1.5}]}, "axes.variations.0.at.0.share"),
        ({"colour": "red"}, "axes.variations.0.colour: Extra inputs are not permitted"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_variation_is_refused_by_its_path(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_study(quick(variations=[VARIATION | change]), where="test")
    assert says in str(caught.value)


def test_two_variations_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="variations: two are named 'warm'"):
        parse_study(quick(variations=[VARIATION, VARIATION]), where="test")


def test_a_variation_may_set_other_keys() -> None:
    study = parse_study(
        quick(variations=[VARIATION | {"set": {"execution.batch": 32}}]), where="test"
    )
    assert study.axes.variations[0].set == {"execution.batch": 32}
    assert study.axes.variations[0].seeds == (0,)


def test_keys_are_changed_by_path_and_nothing_else() -> None:
    study = parse_study(quick(variations=[VARIATION]), where="test")
    changed = with_keys(study, {"optimizer.lr.base": 0.5, "contextualizer.ladder": [[8, 1]]})
    assert changed.optimizer.lr.base == 0.5
    assert changed.optimizer.lr.width == study.optimizer.lr.width
    assert changed.contextualizer.ladder == ((8, 1),)
    assert changed.axes.variations == ()
    assert changed.data == study.data
    assert with_keys(study, {}).optimizer == study.optimizer


@pytest.mark.parametrize("path", ["optimizer.lr.bass", "optimizer.lr.base.low", "optimiser.lr"])
def test_an_unknown_path_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match=f"a study has no key '{path}'"):
        with_keys(parse_study(quick(), where="test"), {path: 1})


def test_an_impossible_value_of_a_variation_is_named() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.warmup"):
        with_keys(parse_study(quick(), where="test"), {"optimizer.warmup": 1.5})


@pytest.mark.parametrize("name", ["share", "share_at_optimum"])
def test_ratios_are_one_for_all_budgets_or_one_each(name: str) -> None:
    axis = {"budgets": [1e10, 1e11], "shares": [0.1]}
    study = parse_study(quick(**{name: axis | {"ratio": 15}}), where="test")
    assert getattr(study.axes, name).ratios() == (15, 15)
    study = parse_study(quick(**{name: axis | {"ratio": [5, 15]}}), where="test")
    assert getattr(study.axes, name).ratios() == (5, 15)
    with pytest.raises(ConfigError, match="ratio has 1 values for 2 budgets"):
        parse_study(quick(**{name: axis | {"ratio": [5]}}), where="test")


def test_the_second_series_ask_for_what_the_first_ask_for() -> None:
    with pytest.raises(ConfigError, match=r"axes\.batch_as_paper needs a base point for budget 5e"):
        parse_study(quick(batch_as_paper={"budgets": [5e15], "batches": [8]}), where="test")
    table = quick(share_at_optimum={"budgets": [1e11], "shares": [0.1], "ratio": 15})
    table["embedder"] = {"kind": "table"}
    table["base"] = []
    with pytest.raises(ConfigError, match=r"axes\.share_at_optimum: the embedder\.kind table"):
        parse_study(table, where="test")
