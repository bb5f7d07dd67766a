"""numbers.json: every number has an origin that holds it, and keys outlive a failed fit."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from behavior_scaling.report.number import Numbers, budget_slug, load_numbers, slug
from behavior_scaling.report.numbers import make_numbers
from behavior_scaling.report.text import LOSS, RECALL

QUICK = Path(__file__).parents[2] / "config" / "quick.yaml"


@pytest.fixture(scope="module")
def numbers(shared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    """The synthetic study's numbers."""
    import shutil

    copy = Path(shutil.copytree(shared_results, tmp_path_factory.mktemp("numbers") / "quick"))
    return load_numbers(make_numbers(copy, copy / "floors.json", QUICK))


def resolve(body: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        body = body[int(part)] if part.isdigit() else body[part]
    return body


def test_every_fitted_number_stands_where_its_origin_says(
    shared_results: Path, numbers: Numbers
) -> None:
    checked = 0
    for name, number in numbers.items():
        if number["file"].startswith("laws/") and number["key"].endswith(".value"):
            if isinstance(number["value"], list):
                continue
            body = json.loads((shared_results / number["file"]).read_text())
            assert resolve(body, number["key"]) == number["value"], name
            checked += 1
    assert checked > 60


def test_every_number_has_text_file_and_a_key_for_templates(numbers: Numbers) -> None:
    for name, number in numbers.items():
        assert set(number) == {"value", "text", "file", "key"}
        assert number["text"], name
        assert number["file"], name
        assert number["key"], name
        assert all(part.isidentifier() for part in name.split(".")), name
    prefixes = {".".join(n.split(".")[:k]) for n in numbers for k in range(1, n.count(".") + 1)}
    assert not prefixes & set(numbers)  # a name is a number or a group, never both


def test_floors_stand_where_their_origin_says(shared_results: Path, numbers: Numbers) -> None:
    floors = json.loads((shared_results / "floors.json").read_text())
    markov = numbers["floors.validation.markov.recall_at_10"]
    assert markov["text"] == "0.097"
    assert floors["validation"]["all"]["markov"]["recall@10"] == markov["value"]
    assert markov["key"] == "validation.all.markov.recall@10"
    starts = numbers["floors.validation.session_start.markov.n_positions"]
    assert (starts["value"], starts["text"]) == (208, "208")
    assert numbers["floors.test.recency.cross_entropy"]["text"] == "–"
    assert numbers["floors.reached"]["text"].startswith(
        "by loss the best cell beats popularity and stays behind Markov"
    )


def test_runs_are_counted_by_hand(shared_results: Path, numbers: Numbers) -> None:
    runs = pd.read_parquet(shared_results / "runs.parquet")
    assert numbers["runs.total"]["value"] == len(set(runs["id"]))
    assert numbers["runs.not_done"]["value"] == 2
    assert "N = 1,600, seed 1: diverged" in numbers["runs.not_done_names"]["text"]
    assert numbers["runs.budgets"]["text"] == "10¹⁰, 3×10¹⁰, 10¹¹"
    assert numbers["data.unique_positions"]["text"] == "78,000"
    cells = runs[runs["outcome"] == "done"].groupby(
        ["axis", "arm", "budget", "n_emb", "n_ctx", "batch", "in_batch", "uniform", "positions"]
    )
    assert numbers["best.loss"]["value"] == pytest.approx(cells[LOSS].mean().min())
    assert numbers["best.recall"]["value"] == pytest.approx(cells[RECALL].mean().max())


def test_a_fit_that_failed_keeps_its_key_and_prints_its_status(numbers: Numbers) -> None:
    key = "allocation.validation_restored_all_recall_at_10.c1e11.optimum"
    assert numbers[key]["value"] is None
    assert numbers[key]["text"] == "above 40,000, vertex outside the grid"
    assert "10¹¹: above 40,000, vertex outside" in numbers["allocation.recall"]["text"]
    share = numbers["share.validation_restored_all_cross_entropy.c3e10.optimum"]
    assert share["text"].startswith("5.2% (")


def test_verdicts_add_up(numbers: Numbers) -> None:
    names = ("replicated", "consistent", "contradicted", "out_of_range", "not_identified",
             "not_measured")  # fmt: skip
    total = sum(numbers[f"claims.{name}"]["value"] for name in names)
    assert total == numbers["claims.total"]["value"]
    assert numbers["claims.by_id.allocation_n.verdict"]["text"] == "out of range"


def test_without_laws_every_axis_still_has_its_sentence(
    results_dir: Path, edit_laws: Callable[..., None]
) -> None:
    for path in (results_dir / "laws").iterdir():
        path.unlink()
    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs[runs["axis"] != "batch"].to_parquet(results_dir / "runs.parquet")
    numbers = load_numbers(make_numbers(results_dir, results_dir / "floors.json", QUICK))
    assert numbers["batch.loss"]["text"] == "this axis was not run"
    assert numbers["share.loss"]["text"] == "nothing was fitted"
    assert numbers["allocation.exponent_n"]["text"] == "no exponent was fitted"
    assert numbers["joint.loss.allocation"]["text"] == "no joint surface was fitted"
    assert numbers["critical_batch.steps"]["text"] == "steps to a target loss was not measured"
    assert numbers["backtest.loss"]["text"] == "nothing could be predicted"
    assert numbers["choice_cost.all"]["text"] == "no cost of recall@10 could be told"


def test_the_later_laws_have_their_sentences(numbers: Numbers) -> None:
    assert numbers["joint.loss.allocation"]["text"] == (
        "N* at 10¹⁰ 3,000 (2,500 to 3,900); at 3×10¹⁰ 5,200 (4,330 to 6,750); "
        "at 10¹¹ 9,490 (7,910 to 12,300)"
    )
    assert numbers["joint.loss.share"]["text"] == (
        "s* at 3×10¹⁰ 50%, at bound; at 10¹¹ below 30%, not identified"
    )
    assert numbers["joint.recall.negatives"]["text"] == (
        "popular only: K* at 3×10¹⁰ and 10¹¹ not identified. "
        "uniform added: K* at 3×10¹⁰ and 10¹¹ not identified"
    )
    assert numbers["joint.loss.kept"]["text"] == (
        "contextualizer too small, embedder too small, too little data and large batches use data "
        "worse"
    )
    assert numbers["critical_batch.curve"]["text"] == (
        "at 3×10¹⁰ 8.00 (6.00 to 11.0) sequences, 240 (180 to 330) events; "
        "at 10¹¹ 2.00, at bound (smallest batch)"
    )
    assert numbers["critical_batch.disagreement"]["value"] == 1  # said by both methods
    assert numbers["backtest.loss"]["text"] == (
        "allocation at 10¹¹: 2 of 3 cells covered, CRPS 0.0125 against 0.250 (last budget again) "
        "and 0.500 (log-linear)"
    )
    assert (numbers["backtest.predicted"]["value"], numbers["backtest.won"]["value"]) == (1, 1)
    assert "budgets left of this axis: 1; 3 needed" in numbers["backtest.recall"]["text"]
    assert numbers["choice_cost.all"]["text"] == (
        "allocation at 10¹⁰: 10% (0% to 20%); allocation at 3×10¹⁰: 0% (0% to 10%)"
    )
    assert numbers["choice_cost.largest"]["value"] == 0.1
    assert (numbers["choice_cost.curves"]["value"], numbers["choice_cost.same"]["value"]) == (2, 1)


def test_parameters_whose_names_differ_in_case_only_keep_their_own_key(numbers: Numbers) -> None:
    head = "surface.validation_restored_all_cross_entropy"
    assert numbers[f"{head}.context_size"]["key"] == "surface[0].parameters.A_c.value"
    assert numbers[f"{head}.context_exponent"]["key"] == "surface[0].parameters.a_c.value"
    assert numbers[f"{head}.allocation.six_nd.c1e10.optimum"]["value"] == 3000 * 1.2


def test_names() -> None:
    assert slug("validation/restored/all/recall@10") == "validation_restored_all_recall_at_10"
    assert [budget_slug(c) for c in (1e10, 3e10, 3.5e11)] == ["c1e10", "c3e10", "c3p5e11"]
