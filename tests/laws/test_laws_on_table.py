"""Any law on any table: rows, budgets and options, and the laws that go budget by budget."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws import isoflop
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.curve import curve_data
from behavior_scaling.laws.on_table import COMMON, LAWS, fit_table
from behavior_scaling.laws.on_table_curves import curves_of, near_equal
from behavior_scaling.laws.on_table_text import described
from behavior_scaling.laws.write import write_laws

BUDGETS = (1e18, 1e19, 1e20, 1e21)
EXPONENT = 0.47
SETTINGS = {"tolerance": 0.1, "delta": 1e-3, "residuals": "log", "bootstrap": 60, "seed": 1}
COLUMNS = {"n": "N", "d": "D", "c": "C", "x": "x", "unique": "U"}


def best_n(c):
    return 1e8 * (c / 1e19) ** EXPONENT


@pytest.fixture
def grid():
    """Exact parabolas in log N at four budgets: columns N, C, loss."""
    rows = []
    for c in BUDGETS:
        for n in best_n(c) * 2.0 ** np.arange(-3, 4.5):
            rows.append(
                (n, c, 2.5 - 0.1 * math.log10(c / 1e18) + 0.04 * math.log(n / best_n(c)) ** 2)
            )
    return dict(zip(("N", "C", "loss"), np.array(rows).T, strict=True))


def two_term(budgets, seeds, sd, best=0.03):
    """A share axis: rows x, C, loss with optimum `best` at every budget."""
    rng = np.random.default_rng(0)
    rows = []
    for c in budgets:
        for x in np.geomspace(0.003, 0.4, 9):
            u = x / best
            for _ in range(seeds):
                noise = sd * rng.standard_normal()
                rows.append((x, c, 3 + 0.05 * (u**0.8 / 0.8 + u**-0.6 / 0.6) + noise))
    return dict(zip(("x", "C", "loss"), np.array(rows).T, strict=True))


class TestBudgets:
    def test_values_within_the_tolerance_are_one(self):
        c = np.array([1.03e19, 3e18, 1e19, 3.1e18, 1e20, 0.99e19])
        assert near_equal(c, 0.05).tolist() == [1, 0, 1, 0, 2, 1]
        assert near_equal(c, 0.02).tolist() == [3, 0, 2, 1, 4, 2]
        assert near_equal(c, 0.0).tolist() == [4, 0, 3, 1, 5, 2]

    def test_the_widest_gap_is_cut_first(self):
        c = np.array([1.00, 1.01, 1.05, 1.06])  # spans 6%; halves span 1%
        assert near_equal(c, 0.055).tolist() == [0, 0, 1, 1]

    def test_no_group_is_wider_than_the_tolerance(self):
        c = np.exp(np.random.default_rng(0).uniform(0, 3, 500))
        label = near_equal(c, 0.05)
        for k in range(label.max() + 1):
            inside = c[label == k]
            assert inside.max() / inside.min() <= 1.05 + 1e-9
        order = np.argsort(c)
        assert np.all(np.diff(label[order]) >= 0)

    @pytest.mark.parametrize("bad", [-0.1, math.nan])
    def test_a_tolerance_is_a_share(self, bad):
        with pytest.raises(LawsError, match="tolerance"):
            near_equal(np.ones(2), bad)

    def test_replicates_pool_to_the_seed_noise(self):
        """Two cells of two rows: sum of squares 2 * .01^2 + 2 * .02^2 with two degrees."""
        c, x = np.full(5, 1e10), np.array([1, 1, 2, 2, 3.0])
        y = np.array([1.01, 0.99, 2.02, 1.98, 5.0])
        made = curves_of(c, x, y, 0.05, {})
        (curve,) = made.data
        assert curve.repeats.tolist() == [2, 2, 1]
        assert curve.y == pytest.approx([1.0, 2.0, 5.0])
        assert curve.within == pytest.approx(2 * 0.01**2 + 2 * 0.02**2)
        assert curve.noise.variance == pytest.approx((2 * 0.01**2 + 2 * 0.02**2) / 2)
        assert curve.noise.df == 2
        assert "5 rows are 3 cells: seed noise from the replicates" in made.notes

    def test_equal_x_at_another_c_or_d_is_no_replicate(self):
        c = np.array([1e10, 1.01e10, 1e10])
        made = curves_of(c, np.ones(3), np.ones(3), 0.05, {"positions": np.array([1, 1, 2.0])})
        assert made.data[0].cells == 3
        assert not made.data[0].noise.known
        assert any("C varies by up to 1.00%" in note for note in made.notes)

    def test_the_grouping_is_stated(self):
        made = curves_of(np.array([1e10, 1e10, 1e11]), np.arange(1.0, 4), np.ones(3), 0.05, {})
        assert made.notes[0] == "2 budgets by C, equal within 5.0% (rows): 1e+10 (2), 1e+11 (1)"
        assert [curve.budget for curve in made.data] == pytest.approx([1e10, 1e11])


class TestRows:
    def test_d_is_c_over_6n_and_the_notes_say_so(self, grid):
        fit = fit_table("isoflop", grid, n="N", c="C", y="loss")
        assert "D = C / (6 N), from C and N" in fit.notes
        curve = fit.curves[1]
        assert curve.derived["D"].value == pytest.approx(1e19 / 6 / best_n(1e19))

    def test_c_is_6nd_and_the_notes_say_so(self, grid):
        table = {"N": grid["N"], "D": grid["C"] / 6 / grid["N"], "loss": grid["loss"]}
        fit = fit_table("isoflop", table, n="N", d="D", y="loss")
        assert "C = 6 N D, from N and D" in fit.notes
        assert [curve.budget for curve in fit.curves] == pytest.approx(BUDGETS)

    def test_integers_do_not_overflow(self, grid):
        n = np.round(grid["N"]).astype(np.int64)
        d = np.round(grid["C"] / 6 / n).astype(np.int64)
        assert np.any(6 * n * d < 0) or np.any(6.0 * n * d > 2**63)
        fit = fit_table("isoflop", {"N": n, "D": d, "loss": grid["loss"]}, n="N", d="D", y="loss")
        assert [curve.budget for curve in fit.curves] == pytest.approx(BUDGETS, rel=1e-6)

    def test_another_convention_of_c_is_stated(self, grid):
        table = {**grid, "D": 2 * grid["C"] / grid["N"]}
        fit = fit_table("isoflop", table, n="N", d="D", c="C", y="loss")
        assert "C / (6 N D) runs from 0.0833 to 0.0833: another convention of C" in fit.notes

    def test_the_largest_losses_are_dropped_with_their_ties(self, grid):
        loss = grid["loss"].copy()
        loss[[3, 7, 11]] = [9.0, 8.0, 8.0]
        fit = fit_table("isoflop", {**grid, "loss": loss}, n="N", c="C", y="loss", drop_largest=2)
        assert fit.points == loss.size - 3
        assert (
            "3 rows with loss at or above 8 (the largest 2, ties included): left out" in fit.notes
        )

    def test_rows_are_chosen_before_they_are_checked(self, grid):
        frame = pd.DataFrame(grid).assign(axis="allocation")
        other = frame.head(3).assign(axis="other", loss=np.nan)
        frame = pd.concat([other, frame], ignore_index=True)
        fit = fit_table("isoflop", frame, n="N", c="C", y="loss", where={"axis": "allocation"})
        assert fit.points == len(grid["N"])
        assert fit.notes[0] == f"{len(grid['N'])} rows with axis = allocation"
        with pytest.raises(LawsError, match="column 'loss', row 1: nan is not finite"):
            fit_table("isoflop", frame, n="N", c="C", y="loss")

    def test_a_row_keeps_its_number_after_choosing(self, grid):
        frame = pd.DataFrame(grid).assign(axis="a")
        frame.loc[5, "loss"] = -1.0
        frame.loc[:3, "axis"] = "b"
        with pytest.raises(LawsError, match="column 'loss', row 6: -1 is not positive"):
            fit_table("isoflop", frame, n="N", c="C", y="loss", where={"axis": "a"})

    def test_a_share_in_percent_is_refused(self):
        table = two_term(BUDGETS, 1, 0.0)
        table["x"] = 100 * table["x"]
        with pytest.raises(LawsError, match=r"column 'x', row 3: 1.01943 is not a share between 0"):
            fit_table("share", table, x="x", c="C", y="loss")

    @pytest.mark.parametrize("count", [0, 32, 40, -1])
    def test_a_drop_of_all_or_no_rows_is_refused(self, grid, count):
        with pytest.raises(LawsError, match=f"drop_largest: {count} of 32 rows"):
            fit_table("isoflop", grid, n="N", c="C", y="loss", drop_largest=count)


class TestOptions:
    def test_the_options_of_each_law(self):
        """Written out once by hand, so that a slip in the table of laws shows."""
        sizes, robust = {"n", "d", "c"}, {"delta", "residuals", "bootstrap", "seed"}
        assert {law: set(known.uses) for law, known in LAWS.items()} == {
            "envelope": sizes | {"tolerance", "bootstrap", "seed"},
            "isoflop": sizes | {"tolerance", "unique"},
            "parametric": sizes | robust,
            "vpnls": sizes | {"bootstrap", "seed"},
            "power": sizes | robust | {"x"},
            "repetition": sizes | robust | {"unique"},
            "share": sizes | {"x", "tolerance", "bootstrap", "seed"},
            "negatives": sizes | {"x", "tolerance", "bootstrap", "seed"},
            "batch": sizes | {"x", "tolerance"},
        }

    @pytest.mark.parametrize("law", LAWS)
    def test_an_option_without_use_is_an_error_that_says_what_is_used(self, law):
        known = LAWS[law]
        needed = {role: COLUMNS[role] for role in known.needs or ("n",)}
        table = {name: np.ones(3) for name in (*COLUMNS.values(), "loss")}
        idle = [name for name in (*COLUMNS, *SETTINGS) if name not in known.uses]
        assert idle
        for name in idle:
            value = {**COLUMNS, **SETTINGS}[name]
            with pytest.raises(LawsError) as error:
                fit_table(law, table, y="loss", **needed, **{name: value})
            assert str(error.value) == (
                f"law {law} does not use '{name}'; it uses {', '.join((*known.uses, *COMMON))}"
            )

    def test_a_law_says_which_column_it_lacks(self, grid):
        with pytest.raises(LawsError, match="law isoflop needs a column for 'n', or d and c to"):
            fit_table("isoflop", grid, c="C", y="loss")
        with pytest.raises(
            LawsError, match="needs a column for 'd', or n and c to compute it from"
        ):
            fit_table("isoflop", grid, n="N", y="loss")
        with pytest.raises(
            LawsError, match="needs a column for 'c', or n and d to compute it from"
        ):
            fit_table("share", grid, x="N", n="N", y="loss")
        with pytest.raises(LawsError, match="law share does not use 'n' beside 'c'"):
            fit_table("share", grid, x="N", c="C", n="N", y="loss")
        with pytest.raises(LawsError, match=r"law parametric needs a column for one of n, d$"):
            fit_table("parametric", grid, c="C", y="loss")
        with pytest.raises(LawsError, match=r"law power needs a column for one of x, c, n, d$"):
            fit_table("power", grid, y="loss")
        with pytest.raises(LawsError, match="takes one column, x or c or n or d, not c and n"):
            fit_table("power", grid, c="C", n="N", y="loss")
        with pytest.raises(LawsError, match="law 'chinchilla' is not known; laws: envelope, iso"):
            fit_table("chinchilla", grid, y="loss")

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"tolerance": 0.0}, "tolerance: 0.0 is not a positive number"),
            ({"tolerance": math.inf}, "tolerance: inf is not a positive number"),
            ({"bootstrap": 10}, "bootstrap: 10 resamples; an interval needs 50"),
            ({"seed": -1}, "seed: -1 is negative"),
        ],
    )
    def test_values_that_make_no_sense_are_refused(self, grid, options, text):
        with pytest.raises(LawsError, match=text):
            fit_table("envelope", grid, n="N", c="C", y="loss", **options)


class TestIsoflop:
    def test_planted_optima_and_exponents_come_back(self, grid):
        fit = fit_table("isoflop", grid, n="N", c="C", y="loss")
        assert fit.status == "converged"
        assert fit.parameters["N_exponent"].value == pytest.approx(EXPONENT, abs=1e-8)
        assert fit.parameters["D_exponent"].value == pytest.approx(1 - EXPONENT, abs=1e-8)
        for curve in fit.curves:
            assert curve.optimum.value == pytest.approx(best_n(curve.budget), rel=1e-6)
            assert set(curve.derived) == {"D", "D_over_N"}

    def test_it_is_the_axis_fit_of_a_study(self, grid):
        rng = np.random.default_rng(1)
        loss = grid["loss"] + 0.003 * rng.standard_normal(grid["loss"].size)
        fit = fit_table("isoflop", {**grid, "loss": loss}, n="N", c="C", y="loss")
        d = grid["C"] / 6 / grid["N"]
        curves = []
        for c in BUDGETS:
            at = grid["C"] == c
            columns = {"positions": d[at], "epochs": np.ones(at.sum())}
            curves.append(curve_data(c, grid["N"][at], loss[at], columns=columns))
        parts = isoflop.fit_allocation(curves)
        assert fit.parameters["N_exponent"].value == pytest.approx(parts.exponents["N"].value)
        assert fit.parameters["N_exponent"].low == pytest.approx(parts.exponents["N"].low)
        for mine, theirs in zip(fit.curves, parts.curves, strict=True):
            assert mine.optimum.value == pytest.approx(theirs.optimum.value)
            assert mine.optimum.high == pytest.approx(theirs.optimum.high)

    def test_the_objective_is_half_the_squares_around_the_parabolas(self, grid):
        rng = np.random.default_rng(2)
        loss = grid["loss"] + 0.01 * rng.standard_normal(grid["loss"].size)
        fit = fit_table("isoflop", {**grid, "loss": loss}, n="N", c="C", y="loss")
        expected = 0.0
        for c in BUDGETS:
            at = grid["C"] == c
            z = np.log(grid["N"][at])
            expected += 0.5 * np.sum((np.polyval(np.polyfit(z, loss[at], 2), z) - loss[at]) ** 2)
        assert fit.objective == pytest.approx(expected, rel=1e-6)
        assert fit.objective_mean == pytest.approx(expected / 32, rel=1e-6)

    def test_a_cell_weighs_as_many_rows_as_it_has(self, grid):
        """The same table twice: every cell has two rows, so the objective doubles."""
        rng = np.random.default_rng(2)
        table = {**grid, "loss": grid["loss"] + 0.01 * rng.standard_normal(grid["loss"].size)}
        twice = {name: np.tile(values, 2) for name, values in table.items()}
        once = fit_table("isoflop", table, n="N", c="C", y="loss")
        both = fit_table("isoflop", twice, n="N", c="C", y="loss")
        assert both.points == 2 * once.points
        assert both.objective == pytest.approx(2 * once.objective, rel=1e-6)

    def test_jittered_budgets_are_grouped(self, grid):
        rng = np.random.default_rng(0)
        table = {**grid, "C": grid["C"] * rng.uniform(0.99, 1.01, grid["C"].size)}
        fit = fit_table("isoflop", table, n="N", c="C", y="loss")
        assert len(fit.curves) == 4
        assert fit.parameters["N_exponent"].value == pytest.approx(EXPONENT, abs=0.01)
        assert len(fit_table("isoflop", table, n="N", c="C", y="loss", tolerance=1e-6).curves) > 4

    def test_epochs_need_a_column_of_distinct_positions(self, grid):
        d = grid["C"] / 6 / grid["N"]
        table = {**grid, "U": d / 8}
        fit = fit_table("isoflop", table, n="N", c="C", unique="U", y="loss")
        assert all("data-limited" in curve.flags for curve in fit.curves)
        assert fit.parameters["N_exponent_within_4_epochs"].status == "too few points"
        table = {**grid, "U": d}
        fit = fit_table("isoflop", table, n="N", c="C", unique="U", y="loss")
        assert fit.parameters["N_exponent_within_4_epochs"].value == pytest.approx(
            fit.parameters["N_exponent"].value
        )

    def test_one_budget_has_an_optimum_and_no_exponent(self, grid):
        at = grid["C"] == 1e19
        fit = fit_table("isoflop", {k: v[at] for k, v in grid.items()}, n="N", c="C", y="loss")
        assert fit.status == fit.parameters["N_exponent"].status == "too few points"
        assert fit.parameters["N_exponent"].value is None
        assert fit.curves[0].optimum.status == "converged"

    def test_without_curvature_nothing_is_claimed(self, grid):
        for loss in (5 - 0.1 * np.log(grid["N"]), np.full_like(grid["N"], 2.0)):
            fit = fit_table("isoflop", {**grid, "loss": loss}, n="N", c="C", y="loss")
            assert fit.parameters["N_exponent"].value is None
            assert fit.status != "converged"
            assert all(curve.optimum.value is None for curve in fit.curves)

    def test_concave_curves_are_refused(self, grid):
        fit = fit_table("isoflop", {**grid, "loss": 10 - grid["loss"]}, n="N", c="C", y="loss")
        assert all(curve.optimum.status == "not identified" for curve in fit.curves)
        assert "concave" in fit.curves[0].optimum.reason

    def test_three_rows_are_too_few(self):
        table = {"N": [1e6, 2e6, 4e6], "C": [1e15] * 3, "loss": [3.0, 2.9, 3.1]}
        fit = fit_table("isoflop", table, n="N", c="C", y="loss")
        assert fit.curves[0].optimum.value is None
        assert fit.status == "too few points"


class TestOtherAxes:
    def test_the_share_law_finds_the_planted_optimum(self):
        fit = fit_table("share", two_term(BUDGETS, 2, 0.001), x="x", c="C", y="loss", bootstrap=60)
        assert fit.status == "converged"
        for curve in fit.curves:
            assert curve.optimum.value == pytest.approx(0.03, rel=0.02)
            assert 0.025 < curve.optimum.low < curve.optimum.value < curve.optimum.high < 0.035
        assert "72 rows are 36 cells: seed noise from the replicates" in fit.notes
        assert set(fit.parameters) == {"alpha", "beta", "s* over C"}

    def test_its_objective_is_that_of_the_printed_coefficients(self):
        table = two_term(BUDGETS, 1, 0.002)
        fit = fit_table("share", table, x="x", c="C", y="loss", bootstrap=60)
        expected = 0.0
        for curve in fit.curves:
            at = table["C"] == curve.budget
            v = {name: estimate.value for name, estimate in curve.coefficients.items()}
            x = table["x"][at]
            law = v["y0"] + v["a"] * x ** v["alpha"] + v["b"] * x ** -v["beta"]
            expected += 0.5 * np.sum((law - table["loss"][at]) ** 2)
        assert fit.objective == pytest.approx(expected, rel=1e-9)
        assert fit.objective < 0.5 * 36 * 0.003**2

    def test_negatives_is_the_same_law_of_candidates(self):
        table = two_term(BUDGETS, 2, 0.001)
        table["x"] = np.round(1e4 * table["x"])
        fit = fit_table("negatives", table, x="x", c="C", y="loss", bootstrap=60)
        assert "K* over C" in fit.parameters
        for curve in fit.curves:
            assert curve.optimum.value == pytest.approx(300, rel=0.02)

    def test_a_monotone_share_axis_has_no_optimum(self):
        table = two_term(BUDGETS, 2, 0.001, best=30.0)
        fit = fit_table("share", table, x="x", c="C", y="loss", bootstrap=60)
        assert fit.status != "converged"
        assert all(curve.optimum.status != "converged" for curve in fit.curves)

    def test_the_batch_law_finds_the_planted_knee(self):
        rng = np.random.default_rng(3)
        rows = []
        for c, knee in ((1e18, 40.0), (1e19, 90.0), (1e20, 200.0)):
            for b in 2.0 ** np.arange(0, 12):
                for _ in range(2):
                    loss = (
                        3 + 0.5 * ((1 + b / knee) ** 0.3 - 1) / 0.3 + 0.002 * rng.standard_normal()
                    )
                    rows.append((b, c, loss))
        table = dict(zip(("B", "C", "loss"), np.array(rows).T, strict=True))
        fit = fit_table("batch", table, x="B", c="C", y="loss")
        assert fit.parameters["gamma"].low < 0.3 < fit.parameters["gamma"].high
        for curve, knee in zip(fit.curves, (40, 90, 200), strict=True):
            assert curve.optimum.low < knee < curve.optimum.high
            assert "events" not in curve.derived
        assert "no D named: taken as equal for all rows of a budget" in fit.notes


class TestText:
    def test_every_number_stands_with_its_interval_and_status(self, grid):
        text = described(fit_table("isoflop", grid, n="N", c="C", y="loss"))
        lines = text.splitlines()
        assert lines[0].split() == ["law", "isoflop"]
        a = next(line for line in lines if line.startswith("N_exponent "))
        assert a.split()[:2] == ["N_exponent", "0.47"]
        assert a.endswith("converged")
        assert len([line for line in lines if line.startswith("1e+")]) == 4
        assert all(line == line.rstrip() for line in lines)

    def test_bounds_and_reasons_are_shown(self):
        n = 1e8 * 2.0 ** np.arange(7)
        loss = 2 + 0.01 * np.log(n / 1e11) ** 2
        text = described(
            fit_table(
                "isoflop", {"N": n, "C": np.full(7, 1e19), "loss": loss}, n="N", c="C", y="loss"
            )
        )
        assert "above 1e+11" in text
        assert "vertex outside the grid: the minimum lies to the right" in text

    def test_budgets_with_too_few_points_share_a_line(self):
        table = {"N": [1e6, 2e6, 4e6], "C": [1e15, 1e16, 1e17], "loss": [3.0, 2.9, 3.1]}
        text = described(fit_table("isoflop", table, n="N", c="C", y="loss"))
        assert "too few points at 3 of 3 C (3 rows): for one, 1 distinct values of x" in text


def test_every_result_can_be_written(grid, tmp_path):
    fits = {
        "isoflop": fit_table("isoflop", grid, n="N", c="C", y="loss"),
        "share": fit_table("share", two_term(BUDGETS, 1, 0.0), x="x", c="C", y="loss"),
        "envelope": fit_table("envelope", grid, n="N", c="C", y="loss", bootstrap=50),
    }
    write_laws({name: fit.to_dict() for name, fit in fits.items()}, tmp_path)
    read = json.loads((tmp_path / "isoflop.json").read_text())
    assert read["parameters"]["N_exponent"]["value"] == pytest.approx(EXPONENT, abs=1e-6)
    assert read["curves"][0]["optimum"]["status"] == "converged"
