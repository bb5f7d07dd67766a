"""Laws in worlds of known entropy: planted worlds and closed forms."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.worlds import World, fit_worlds
from behavior_scaling.laws.worlds_across import falling
from behavior_scaling.laws.write import write_laws

from .laws_worlds import BETA, BUDGETS, runs, world


def test_the_exponent_of_the_excess_is_the_planted_one() -> None:
    row = fit_worlds([world(3.9, runs(3.9))])["worlds"][0]

    # N = D = sqrt(C / 6) at the optimum, so L - H = 2 * 9 * 6^0.15 C^-0.15; vertices of parabolas
    # lie a little below the cells' own optimum, by the same factor at every budget
    assert row["known"]["b"]["value"] == pytest.approx(0.15, abs=1e-6)
    assert row["known"]["a"]["value"] == pytest.approx(18 * 6**0.15, rel=0.02)
    assert [place["budget"] for place in row["budgets"]] == list(BUDGETS)
    gap = row["budgets"][0]["gap"]["value"]
    assert gap == pytest.approx(18 * (BUDGETS[0] / 6) ** -0.15, rel=0.02)
    assert row["free"]["E"]["status"] == "too few points"
    assert "3 budgets" in row["free"]["E"]["reason"]


def test_the_plain_power_law_is_that_of_the_losses_themselves() -> None:
    row = fit_worlds([world(3.9, runs(3.9))])["worlds"][0]
    losses = np.log([place["loss"]["value"] for place in row["budgets"]])
    slope = np.polyfit(np.log(BUDGETS), losses, 1)[0]

    assert row["plain"]["b"]["value"] == pytest.approx(-slope, rel=1e-3)  # weights differ a little
    assert row["plain"]["b"]["value"] < row["known"]["b"]["value"]


def test_the_oracle_on_the_positions_is_what_is_taken_off() -> None:
    """Positions that are harder than H_L move model and oracle alike."""
    table = runs(3.9)
    table = table.assign(**{name: table[name] + 0.05 for name in table.columns if "cross" in name})
    row = fit_worlds([world(3.9, table, shift=0.05)])["worlds"][0]

    assert row["known"]["b"]["value"] == pytest.approx(0.15, abs=1e-6)


def test_five_budgets_tell_e_too() -> None:
    budgets = (1e10, 3e10, 1e11, 3e11, 1e12)
    row = fit_worlds([world(3.9, runs(3.9, budgets=budgets, noise=2e-4))])["worlds"][0]

    assert row["free"]["E"]["low"] < 3.9 < row["free"]["E"]["high"]
    assert row["E"]["parametric"]["low"] < 3.9 < row["E"]["parametric"]["high"]


def test_the_interval_covers_the_exponent_of_noisy_cells() -> None:
    hit, wide = 0, []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        table = runs(3.9)
        name = next(name for name in table.columns if "cross" in name)
        table[name] += 0.003 * rng.standard_normal(len(table))
        b = fit_worlds([world(3.9, table)])["worlds"][0]["known"]["b"]
        hit += b["low"] <= 0.15 <= b["high"]
        wide.append(b["high"] - b["low"])
    assert hit >= 9  # of 12
    assert np.median(wide) < 0.06


def test_a_best_loss_below_the_truth_has_no_exponent() -> None:
    row = fit_worlds([world(3.9, runs(3.9), shift=0.4)])["worlds"][0]

    assert row["known"]["b"]["status"] == "not identified"
    assert "not above the known E at 1e+12" in row["known"]["b"]["reason"]


def planted(entropies: tuple[float, ...]) -> list[World]:
    """Worlds whose exponent falls by a hundredth a nat."""
    return [world(h, runs(h, power=0.4 - 0.02 * h, source=f"world-{h}")) for h in entropies]


def test_a_planted_fall_with_entropy_is_found() -> None:
    found = {row["of"]: row for row in fit_worlds(planted((2.5, 3.9, 4.6, 5.5)))["across"]}
    known = found["known"]

    assert known["slope"]["value"] == pytest.approx(-0.01, abs=2e-4)  # b = (0.4 - 0.02 H) / 2
    assert known["rank"] == pytest.approx(-1.0)
    assert known["p_value"] == pytest.approx(1 / 24)
    assert found["plain"]["slope"]["value"] < 0
    assert found["N"]["slope"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_three_worlds_can_never_tell() -> None:
    known = fit_worlds(planted((2.5, 3.9, 5.5)))["across"][1]

    assert known["slope"]["status"] == "not identified"
    assert "p = 0.17" in known["slope"]["reason"]
    assert known["p_value"] == pytest.approx(1 / 6)


def test_two_worlds_have_no_slope() -> None:
    known = fit_worlds(planted((2.5, 3.9)))["across"][1]

    assert known["slope"]["status"] == "too few points"
    assert known["p_value"] is None


def test_the_exact_p_is_that_of_all_orders() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0, 5.0, 1.0, 2.0, 0.0])
    rho, p = falling(x, y)
    own = float(stats.spearmanr(x, y).statistic)
    all_of_them = [stats.spearmanr(x, order).statistic for order in itertools.permutations(y)]

    assert rho == pytest.approx(own)
    assert p == pytest.approx(np.mean(np.array(all_of_them) <= own + 1e-9))
    assert falling(x, np.ones(5)) == (0.0, 1.0)


def test_repeats_are_worth_what_was_planted() -> None:
    fresh = world(3.9, runs(3.9), "fresh")
    repeated = world(3.9, runs(3.9, unique=2e4, worth=6.0), "repeated")
    found = fit_worlds([fresh, repeated])["repetition"]

    assert [(row["fresh"], row["repeated"]) for row in found] == [("fresh", "repeated")]
    worth = found[0]["R*"]
    assert worth["status"] == "converged"
    assert worth["value"] == pytest.approx(6.0, rel=0.05)
    assert found[0]["data_term"]["beta"] == pytest.approx(BETA, rel=0.01)
    cells = found[0]["cells"]
    assert len(cells) == 15
    last = max(cells, key=lambda cell: cell["epochs_repeated"])
    assert last["predicted"] == pytest.approx(last["difference"], rel=0.05)
    assert last["worth_nothing"] > last["difference"] > 0


def test_repeats_as_good_as_new_have_no_upper_end() -> None:
    table = runs(3.9, noise=0.002).assign(unique_positions=2e5)
    table["epochs"] = table["positions"] / 2e5
    found = fit_worlds([world(3.9, runs(3.9), "fresh"), world(3.9, table, "repeated")])

    worth = found["repetition"][0]["R*"]
    assert worth["status"] == "at bound"
    assert worth["value"] is None
    assert worth["low"] > 1
    assert "as good as new" in worth["reason"]


def test_a_repeated_study_counts_once_across_worlds() -> None:
    worlds = [*planted((2.5, 3.9, 4.6, 5.5)), world(3.9, runs(3.9, unique=2e4, source="world-3.9"))]
    found = fit_worlds(worlds)

    assert len(found["worlds"]) == 5
    assert found["across"][0]["studies"] == [one.study for one in worlds[:4]]
    assert found["worlds"][4]["E"]["parametric"]["status"] == "not identified"


def test_other_seeds_of_a_world_are_no_pair() -> None:
    pair = [world(3.9, runs(3.9)), world(3.9, runs(3.9, unique=2e4), seed=1)]
    assert fit_worlds(pair)["repetition"] == []


def test_cells_of_another_design_are_no_pair() -> None:
    other = runs(3.9, unique=2e4)
    other["n_emb"] += 1
    assert fit_worlds([world(3.9, runs(3.9)), world(3.9, other)])["repetition"] == []


def test_a_world_without_an_oracle_is_named() -> None:
    bare = world(3.9, runs(3.9), "bare")
    with pytest.raises(LawsError, match="bare: its floors hold no validation/all/oracle"):
        fit_worlds([World(bare.study, 0, bare.runs, {}, bare.surface, bare.size)])


def test_what_is_said_can_be_written_and_comes_out_the_same(tmp_path: Path) -> None:
    worlds = [world(3.9, runs(3.9, noise=0.002)), world(2.5, runs(2.5, source="world-low"))]
    for name in ("one", "two"):
        write_laws({name: fit_worlds(worlds)}, tmp_path)

    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert json.loads((tmp_path / "one.json").read_text())["worlds"][0]["notes"]


def test_runs_that_are_missing_change_nothing() -> None:
    table = runs(3.9)
    gone = table.assign(id=table["id"] + "b", seed=1, outcome="missing")
    gone[["unique_positions", "epochs", "positions", LOSS]] = np.nan

    assert fit_worlds([world(3.9, pd.concat([table, gone]))]) == fit_worlds([world(3.9, table)])


def test_a_world_without_finished_runs_says_so() -> None:
    table = runs(3.9).assign(outcome="failed")
    row = fit_worlds([world(3.9, table)])["worlds"][0]

    assert row["budgets"] == []
    assert row["known"]["b"]["status"] == "too few points"
    assert row["E"]["parametric"]["status"] == "too few points"
