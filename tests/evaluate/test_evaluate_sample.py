"""The sampled validation loss against the ranks of the evaluation, position by position."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from behavior_scaling.data.windows import eval_windows
from behavior_scaling.evaluate import sample as module
from behavior_scaling.evaluate import scoring
from behavior_scaling.evaluate.kinds import Kinds
from behavior_scaling.evaluate.ranking import evaluate
from behavior_scaling.evaluate.sample import sample_cross_entropy, validation_sample
from behavior_scaling.evaluate.scoring import Catalogue
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec


@pytest.fixture(scope="module")
def model(world) -> TwoPart:
    return TwoPart(
        EmbedderSpec("mlp", 8, 1),
        ContextualizerSpec("transformer", 8, 2, 1),
        torch.tensor(world.codes),
        torch.tensor(world.weights),
        world.meta.spec.codebook,
        seed=1,
    )


@pytest.mark.parametrize("kind", ["corrected", "as_paper", "full"])
@pytest.mark.parametrize("positions", [1, 40, 10_000])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_it_is_the_evaluations_mean_over_the_sampled_positions(
    world, model, monkeypatch, kind, positions, block
):
    monkeypatch.setattr(module, "POSITIONS", positions)
    monkeypatch.setitem(scoring.BLOCK, "cpu", block)
    monkeypatch.setattr(scoring, "FEWEST_ROWS", 3)
    objective = Objective(ObjectiveSpec(kind, 8, 2, "mask"), torch.tensor(world.unigram))
    sample = validation_sample(world)
    events = sample.event[sample.valid]
    rows = pd.DataFrame(evaluate(model, objective, world).ranks.columns())
    logp = rows[~rows.basket].set_index("event").logp_restored
    catalogue = Catalogue(Kinds(world), model.catalogue_vectors())
    found = sample_cross_entropy(model, objective, catalogue, sample)
    assert found == pytest.approx(-logp[events].astype(float).mean(), abs=1e-6)


def test_the_sample_is_about_as_large_as_asked_and_spread_over_all_rows(world, monkeypatch):
    (whole,) = eval_windows(world, "validation", 8, rows=1000)
    assert set(whole.event[whole.valid]) == set(world.eval_events("validation"))
    for positions in (10, 40, int(whole.valid.sum()) - 1):
        monkeypatch.setattr(module, "POSITIONS", positions)
        sample = validation_sample(world)
        known = [row.tobytes() for row in whole.event]
        places = [known.index(row.tobytes()) for row in sample.event]
        gaps = np.diff([*places, len(known)])
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1
        assert abs(sample.valid.sum() - positions) < 8 + 0.25 * positions
    monkeypatch.setattr(module, "POSITIONS", 10_000)
    assert validation_sample(world).valid.sum() == whole.valid.sum()
