"""Calibration in the report: what is drawn and tabled, and the YAML lines that are proposed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.config import load_study, parse_study
from behavior_scaling.laws.calibration import calibration
from behavior_scaling.laws.write import write_laws
from behavior_scaling.report.inputs import ReportError, load_results
from behavior_scaling.report.propose_points import at_budget, point_lines
from behavior_scaling.report.propose_rates import rounded, rule_lines

from .report_calibration import LOSS, RULE, best_rate, make_runs
from .report_drawing import draw, words

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "config" / "quick.yaml"


def drawn(figure: Any, gid: str) -> list[tuple[float, float]]:
    axes = [child for one in figure.axes for child in (one, *one.child_axes)]
    return [
        (float(x), float(y))
        for one in axes
        for line in one.lines
        if line.get_gid() == gid
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_every_group_and_setting_is_drawn(shared_results: Path) -> None:
    figure, table = draw("calibration", shared_results)
    laws = calibration(make_runs())
    groups = laws["calibration"][0]["groups"]
    assert len(drawn(figure, "cell")) == sum(len(group["rates"]) for group in groups)
    vertices = table[(table["kind"] == "vertex") & (table["status"] == "converged")]
    assert sorted(drawn(figure, "vertex")) == sorted(zip(vertices["x"], vertices["y"], strict=True))
    assert len(vertices) == len(groups) - 1
    assert len(drawn(figure, "rule")) == len(groups)
    fit = table[table["kind"] == "fit"]
    assert fit["y"].min() == pytest.approx(vertices["y"].min(), abs=1e-3)
    differences = table[table["kind"] == "difference"]
    assert len(drawn(figure, "difference")) == len(differences) == 6
    text = words(figure)
    assert "at bound (the best is the highest tried)" in text
    assert "1 of 7 groups have no optimum within what was tried" in text
    for setting in ("wider=true", "warmup=0.15", "kind=full"):
        assert setting in text


def test_a_study_that_varies_nothing_says_so(shared_results: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_results, tmp_path / "study")
    (tmp_path / "study" / "laws" / "calibration.json").unlink()
    figure, table = draw("calibration", tmp_path / "study")
    assert "This study varies no setting beside its axes." in words(figure)
    assert table["kind"].tolist() == ["note"]
    assert load_results(tmp_path / "study").calibration.rule is None


def test_damaged_laws_are_named(shared_results: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_results, tmp_path / "study")
    path = tmp_path / "study" / "laws" / "calibration.json"
    laws = json.loads(path.read_text())
    del laws["variations"][0]["verdict"]
    path.write_text(json.dumps(laws))
    with pytest.raises(ReportError, match=r"calibration\.json: not what laws writes"):
        load_results(tmp_path / "study")


def test_the_rule_is_proposed_as_a_study_reads_it(shared_results: Path) -> None:
    results, study = load_results(shared_results), load_study(QUICK)
    text = "\n".join(rule_lines(results, study))
    raw = yaml.safe_load(text)
    lr = parse_study(json.loads(study.model_dump_json()) | raw, where="test").optimizer.lr
    for name, truth in RULE.items():
        assert getattr(lr, name) == pytest.approx(truth, abs=0.05), name
    # for one group by hand: what the comment says of its rate, and of the rule there
    assert lr(64, 8, 1e11) == pytest.approx(best_rate(1e11, 64, 8), rel=0.03)
    assert "N = 6.4k, B = 4, d = 64, C = 3×10¹¹: lr* above" in text
    assert "at bound, rule" in text
    assert "fitted on quick, 0 runs in 7 groups" in text  # the planted table holds no variation


@pytest.mark.parametrize(
    ("value", "text"), [(0.0099416, "0.00994"), (-0.5, "-0.5"), (0.0, "0.0"), (12345.0, "12300.0")]
)
def test_numbers_are_rounded_as_yaml_reads_them(value: float, text: str) -> None:
    assert rounded(value) == text
    assert isinstance(yaml.safe_load(text), float)


def test_without_a_rule_nothing_is_proposed(shared_results: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_results, tmp_path / "study")
    write_laws({"calibration": calibration(make_runs().head(3))}, tmp_path / "study" / "laws")
    results = load_results(tmp_path / "study")
    with pytest.raises(ReportError, match="no group of runs has an optimum"):
        list(rule_lines(results, load_study(QUICK)))


def test_points_are_proposed_where_the_laws_identify_them(shared_results: Path) -> None:
    results, study = load_results(shared_results), load_study(QUICK)
    budgets = (1e10, 1e11, 1e12)
    text = "\n".join(point_lines(results, study, budgets))
    base = yaml.safe_load(text)["base"] or []
    said = {budget: at_budget(results, "allocation", budget)[0] for budget in budgets}
    identified = [b for b in budgets if said[b].status == "converged" and said[b].value]
    assert [float(point["budget"]) for point in base] == identified
    for point in base:
        assert float(point["parameters"]) == pytest.approx(
            said[float(point["budget"])].value, rel=0.05
        )
    assert text.count("no line: ") == len(budgets) - len(identified)
    numbers = [{key: float(value) for key, value in point.items()} for point in base]
    raw = json.loads(study.model_dump_json()) | {"axes": {}, "base": numbers}
    assert [point.depth for point in parse_study(raw, where="test").base] == [1] * len(base)


def test_another_budget_is_reached_along_the_exponent(shared_results: Path) -> None:
    results = load_results(shared_results)
    surface = results.surface(LOSS)
    assert surface is not None
    optima = {one.budget: one.optimum for one in surface.optimum("allocation", "")}
    known = [budget for budget, one in optima.items() if one.status == "converged"]
    slope = surface.exponent("allocation", "", "optimum")
    assert slope is not None
    assert slope.exponent.value is not None
    last, far = max(known), 1e13
    found, how = at_budget(results, "allocation", far)
    grown = (far / last) ** slope.exponent.value
    assert how == "joint surface"
    assert found.value == pytest.approx((optima[last].value or 0) * grown)
    assert found.low is not None
    assert found.high is not None
    assert found.low < (optima[last].low or 0) * grown
    assert found.high > (optima[last].high or 0) * grown
    assert found.reason.startswith("from C = ")


def test_nothing_is_invented_without_laws(shared_results: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_results, tmp_path / "study")
    shutil.rmtree(tmp_path / "study" / "laws")
    text = "\n".join(point_lines(load_results(tmp_path / "study"), load_study(QUICK), [1e11]))
    assert yaml.safe_load(text) == {"base": None}
    assert "N not identified [laws]: the axis was not run" in text
    assert "no line: N is not identified" in text


def test_the_command_prints_and_writes_and_never_touches_the_study(
    shared_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared_results, tmp_path / "quick")
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK.read_text())
    given = ["propose", "--config", str(config), "--results", str(tmp_path)]
    rule = tmp_path / "learning_rate.yaml"
    assert main([*given, "--from", "calibration", "--write", str(rule)]) == 0
    assert capsys.readouterr().out == rule.read_text()
    assert main([*given, "--from", "laws", "--budgets", "1e10"]) == 0
    assert capsys.readouterr().out.count("# C = ") == 1
    assert main([*given, "--from", "calibration", "--write", str(config)]) == 2
    assert "is the study file itself" in capsys.readouterr().err
    assert main([*given, "--from", "calibration", "--budgets", "1e10"]) == 2
    assert "--budgets belongs to --from laws" in capsys.readouterr().err
    assert config.read_text() == QUICK.read_text()


def test_tables_of_the_planted_calibration(shared_results: Path) -> None:
    from behavior_scaling.report.calibration import learning_rates, variations

    found = load_results(shared_results).calibration
    epochs = ({"epochs_min": 0.5, "epochs_max": 2.0}, "0.5 to 2")
    rates, said = learning_rates(found, epochs)
    assert rates["kind"].value_counts().to_dict() == {"group": 7, "parameter": 4}
    assert len(said) == 11
    own = rates[rates["kind"] == "group"].dropna(subset=["value"])
    assert np.allclose(own["factor"], own["rule"] / own["value"])
    numbers, text = variations(found, epochs)
    assert numbers["verdict"].tolist() == ["better", "cannot be told", "worse"] * 2
    assert text["difference"].iloc[0] == "−0.200 ± 0.014"
    assert isinstance(numbers, pd.DataFrame)
