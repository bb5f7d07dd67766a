"""The sample of `verify`: seeded, of every kind that fits, within its seconds."""

from __future__ import annotations

import pytest

from behavior_scaling.sweep.sample import Drawable, Sample, draw

RUNS = [
    *(Drawable(f"a{i}", ("allocation",), 10.0 + i) for i in range(20)),
    *(Drawable(f"s{i}", ("share", "allocation"), 25.0 + i) for i in range(5)),
    *(Drawable(f"n{i}", ("negatives",), 3.0 + i) for i in range(5)),
    Drawable("big", ("batch",), 90.0),
]


def kinds(sample: Sample) -> set[str]:
    return {kind for run in sample.runs for kind in run.kinds}


@pytest.mark.parametrize("room", [5, 14, 40, 60, 130, 300])
@pytest.mark.parametrize("seed", range(10))
def test_it_fits_and_holds_every_kind_that_can_be_held(room: float, seed: int) -> None:
    sample = draw(RUNS, room, seed)
    used = sum(run.seconds for run in sample.runs)
    assert used <= room
    assert len({run.key for run in sample.runs}) == len(sample.runs)
    seconds = [run.seconds for run in sample.runs]
    assert seconds == sorted(seconds, reverse=True)
    # Cheapest of negatives 3, of allocation 10, of share 25, of batch 90.
    expected = {"negatives"} if room >= 3 else set()
    expected |= {"allocation"} if room >= 13 else set()
    expected |= {"share"} if room >= 38 else set()
    expected |= {"batch"} if room >= 128 else set()
    assert kinds(sample) == expected
    assert set(sample.left_out) == {"negatives", "allocation", "share", "batch"} - expected
    rest = [run.seconds for run in RUNS if run not in sample.runs]
    assert min(rest) > room - used  # nothing more would fit


def test_the_seed_decides_and_the_order_of_the_runs_does_not() -> None:
    drawn = [draw(RUNS, 200, seed).runs for seed in range(20)]
    assert drawn == [draw(RUNS[::-1], 200, seed).runs for seed in range(20)]
    assert len(set(drawn)) > 10


def test_all_kinds_are_drawn_on_request_by_their_cheapest_run() -> None:
    sample = draw(RUNS, 5, 0, all_kinds=True)
    assert sample.left_out == ()
    assert {run.key for run in sample.runs} >= {"a0", "s0", "big"}
    assert kinds(sample) == {"negatives", "allocation", "share", "batch"}


def test_no_runs_are_no_sample() -> None:
    assert draw([], 100, 0) == Sample((), ())
