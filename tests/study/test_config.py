"""Studies are refused with the key's path; the committed schema is the generated one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from behavior_scaling.config import ConfigError, load_study, parse_study, study_schema
from behavior_scaling.config_parts import LearningRateRule

ROOT = Path(__file__).parents[2]
RULE = ROOT / "config" / "learning_rate.yaml"  # what the pilot was trained by
STUDIES = sorted(path for path in (ROOT / "config").glob("*.yaml") if path != RULE)
PILOT = [path for path in STUDIES if path.stem.startswith("pilot")]


def quick() -> dict[str, Any]:
    study = load_study(ROOT / "config" / "quick.yaml")
    raw: dict[str, Any] = json.loads(study.model_dump_json())
    return raw


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_valid_and_fits_the_schema(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    jsonschema.validate(json.loads(study.model_dump_json()), study_schema())


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = json.loads((ROOT / "workflow/schemas/study.schema.json").read_text())
    assert committed == study_schema(), "run: behavior-scaling schema --out workflow/schemas/…"


def _set(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split(".")
    part = raw
    for key in parents:
        part = part[key]
    part[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("budget", 1, "budget: Extra inputs are not permitted"),
        ("data.contxt", 64, "data.contxt: Extra inputs are not permitted"),
        ("data.context", 1, "data.context: "),
        ("axes.allocation.share", 1.5, "axes.allocation.share: "),
        ("axes.allocation.budgets", [1e10], "1 budgets"),
        ("axes.batch.budgets", [5e15], "axes.batch needs a base point for budget 5e+15"),
        ("axes.share.seeds", [0, 0], "seeds holds a value twice"),
        ("objective.kind", "softmax", "objective.kind: "),
        ("objective.in_batch", 0, "no negatives"),
        ("objective.in_batch", 300, "asks for 300 of the 256 targets"),
        ("axes.negatives.popular", [2000], "asks for 2000 of the 1024 targets"),
        ("execution.threads", 0, "execution.threads: "),
        ("contextualizer.ladder", [[56, 1]], "width 56 cannot be cut"),
        ("optimizer.lr.base", float("nan"), "optimizer.lr.base: "),
        ("name", "../up", "name: "),
    ],
)
def test_bad_keys_and_values_are_refused_by_path(path: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_study(_set(quick(), path, value), where="study.yaml")
    assert "study.yaml" in str(error.value)
    assert says in str(error.value)


def test_a_missing_file_a_list_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such study file"):
        load_study(tmp_path / "nowhere.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"list\.yaml: a study is a mapping"):
        load_study(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("name: [\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not valid YAML"):
        load_study(tmp_path / "broken.yaml")


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    text = yaml.safe_dump(quick()).replace("30000000000.0", "3e10")
    assert "3e10" in text
    (tmp_path / "quick.yaml").write_text(text)
    assert 3e10 in load_study(tmp_path / "quick.yaml").axes.allocation.budgets  # type: ignore[union-attr]


@pytest.mark.parametrize("path", PILOT, ids=lambda path: path.stem)
def test_the_pilot_states_the_calibrated_rule(path: Path) -> None:
    rule = yaml.safe_load(RULE.read_text())["optimizer"]["lr"]
    assert load_study(path).optimizer.lr == LearningRateRule(**rule)


def test_learning_rate_rule_closed_form() -> None:
    rule = LearningRateRule(base=0.01, width=-0.5, batch=0.5, budget=-0.1)
    assert rule(32, 16, 1e11) == pytest.approx(0.01)
    assert rule(128, 64, 1e12) == pytest.approx(0.01 * 0.5 * 2 * 10**-0.1)
