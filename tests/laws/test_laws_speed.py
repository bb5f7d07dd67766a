"""Short ways to a study's numbers give what the long ways give, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.study import _without_metrics, headline_metrics
from behavior_scaling.laws.surface_law import PARTS, SurfaceLaw, bounds, centre, starts
from behavior_scaling.laws.users import draw_users

Vector = npt.NDArray[np.float64]
CELLS = 60


def law(seed: int = 0) -> SurfaceLaw:
    """Every part of the surface, over cells that show it."""
    rng = np.random.default_rng(seed)
    second = rng.uniform(size=CELLS) > 0.7
    inputs = {
        "n_emb": np.exp(rng.uniform(5, 9, CELLS)),
        "n_ctx": np.exp(rng.uniform(8, 12, CELLS)),
        "positions": np.exp(rng.uniform(11, 15, CELLS)),
        "unique": np.full(CELLS, 6e5),
        "n_cand": np.exp(rng.uniform(4, 8, CELLS)),
        "batch": np.exp(rng.uniform(1, 4, CELLS)),
        "budget": rng.choice([1e11, 3e11, 1e12], CELLS),
        "stage2": second.astype(np.float64),
        "uniform_share": np.where(second, rng.uniform(size=CELLS), 0.0),
    }
    return SurfaceLaw(inputs, centre(inputs), tuple(PARTS))


def test_a_law_that_was_asked_before_says_what_a_new_one_says() -> None:
    asked, rng = law(), np.random.default_rng(1)
    for _ in range(3):
        theta = rng.uniform(0.1, 1.0, (4, len(asked.names)))
        old, new = asked.evaluate(theta), law().evaluate(theta)
        assert np.array_equal(old.values, new.values)
        assert np.array_equal(old.jacobian, new.jacobian)
    elsewhere, other = asked.at(law(seed=2).inputs), law(seed=2)
    fresh = SurfaceLaw(other.inputs, asked.reference, asked.parts)
    assert np.array_equal(elsewhere.evaluate(theta).values, fresh.evaluate(theta).values)
    without = asked.without("candidates")
    again = SurfaceLaw(asked.inputs, asked.reference, without.parts)
    assert without.names == again.names
    theta = theta[:, : len(again.names)]
    assert np.array_equal(without.evaluate(theta).jacobian, again.evaluate(theta).jacobian)


class Line:
    """a + b x, whose rows end at different steps where b has far to go."""

    x = np.linspace(0.0, 1.0, 9)

    def evaluate(self, theta: Vector) -> Dense:
        slope = np.exp(theta[:, [1]])
        values = theta[:, [0]] + slope * self.x
        ones = np.ones_like(values)
        return Dense(values, np.stack([ones, slope * self.x], axis=2))


@pytest.mark.parametrize("delta", [None, 0.05])
@pytest.mark.parametrize("steps", [3, 40, 400])
def test_rows_end_as_they_would_alone(delta: float | None, steps: int) -> None:
    rng = np.random.default_rng(5)
    y = 1 + 2 * Line.x + 0.1 * rng.standard_normal((12, Line.x.size))
    first = np.stack([rng.normal(size=12), rng.uniform(-8, 8, 12)], axis=1)
    first[3, 1] = 800.0  # its objective is not finite
    options = {"delta": delta, "max_iterations": steps, "weights": rng.uniform(1, 2, Line.x.size)}
    low, high = [-np.inf, -1000.0], [np.inf, 1000.0]
    together = minimise_many(Line(), y, first, low, high, **options)
    assert np.unique(together.iterations).size > (2 if steps > 3 else 1)
    for row in range(12):
        alone = minimise_many(Line(), y[row], first[[row]], low, high, **options)
        for name in ("parameters", "objective", "converged", "iterations"):
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[row]), name
    assert np.isinf(together.objective[3])
    assert not together.converged[3]
    assert together.iterations[3] == 0


def test_user_sums_in_any_order_are_those_of_their_rows() -> None:
    rng = np.random.default_rng(0)
    keys = [("validation", "all"), ("validation", "session_start"), ("test", "all")]
    rows = [
        {"id": run, "split": split, "slice": part, "score": score, "group": group}
        for run in ("b7", "a1", "c2")
        for split, part in keys
        for score in ("restored", "raw")
        for group in (4, 0, 9)
        if (run, part) != ("c2", "session_start")
    ]
    table = pd.DataFrame(rows).assign(n_positions=0.0, cross_entropy=0.0)
    table["n_positions"] = rng.integers(1, 50, len(table)).astype(float)
    table["cross_entropy"] = rng.uniform(1, 9, len(table))
    found = draw_users(table.sample(frac=1, random_state=2), resamples=5)
    assert set(found.slices) == {(s, score, p) for s, p in keys for score in ("restored", "raw")}
    for (split, score, part), sums in found.slices.items():
        here = table[(table.split == split) & (table.score == score) & (table.slice == part)]
        runs = sorted(set(here["id"]))
        assert sums.runs == {run: i for i, run in enumerate(runs)}
        for i, run in enumerate(runs):
            own = here[here["id"] == run].sort_values("group")
            assert sums.positions[i].tolist() == own["n_positions"].tolist()
            assert sums.metrics["cross_entropy"][i].tolist() == own["cross_entropy"].tolist()


def test_a_table_without_other_metrics_keeps_rows_order_and_all_that_says_how_a_run_was_made() -> (
    None
):
    loss, other = "validation/restored/all/cross_entropy", "test/restored/all/mrr@5"
    runs = pd.DataFrame(
        {"id": ["b", "a"], other: [0.1, 0.2], "train_loss": [3.0, 4.0], loss: [5.0, 6.0]},
        index=[7, 3],
    )
    kept = _without_metrics(runs, headline_metrics(runs))
    pd.testing.assert_frame_equal(kept, runs[["id", "train_loss", loss]])


def test_bounds_hold_at_every_step() -> None:
    surface, rng = law(), np.random.default_rng(3)
    y = 5 - 0.1 * np.log(surface.inputs["n_ctx"]) + 0.05 * rng.standard_normal(CELLS)
    low, high = bounds(surface, float(np.ptp(y)), floor=True)
    first = starts(surface, y, np.ones(CELLS), 6, 0, floor=True)
    found = minimise_many(surface, y, first, low, high, max_iterations=30)
    assert np.all((low <= found.parameters) & (found.parameters <= high))
    at_start = minimise_many(surface, y, first, low, high, max_iterations=0)
    assert np.array_equal(at_start.parameters, np.clip(first, low, high))
    assert np.all(found.objective < at_start.objective)
