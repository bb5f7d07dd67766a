"""What worlds draw, their oracle, and the source that writes them down."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import chisquare, kstest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine, view
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import world as source
from behavior_scaling.data.sources.world import World
from behavior_scaling.data.worlds.filter import Filtered, forward
from behavior_scaling.data.worlds.generate import BLOCK, Draws, Histories, block, draw, longest
from behavior_scaling.data.worlds.named import WORLDS, named
from behavior_scaling.data.worlds.oracle import (
    detection,
    fresh,
    mean_over_users,
    oracle_ranks,
    probabilities,
)
from behavior_scaling.data.worlds.parameters import WorldSpec, build

SMALL = WorldSpec("small", seed=1, items=40, types=3, interests=4, features=3, categories=5)


def sampled(name: str, users: int) -> tuple[Histories, Filtered, np.ndarray, np.ndarray]:
    """Histories of a named world, what the filter says, and its positions: user, place."""
    histories = block(named(name), 0, 64, 1).users(slice(0, users))
    found = forward(named(name), histories, "events")
    user, place = np.nonzero(histories.present & (np.arange(histories.items.shape[1]) > 0))
    return histories, found, user, place


def test_the_first_users_are_the_same_whatever_their_number() -> None:
    world = build(SMALL)
    few = next(draw(world, 7, 8, 100))
    blocks = list(draw(world, 7, 8, BLOCK + 50))

    assert [len(part.lengths) for part in blocks] == [BLOCK, 50]
    for name in ("lengths", "items", "times", "starts"):
        assert np.array_equal(getattr(few, name), getattr(blocks[0], name)[:100])
        assert np.array_equal(
            getattr(block(world, 7, 8, 1).users(slice(0, 50)), name), getattr(blocks[1], name)
        )
    assert not np.array_equal(blocks[0].items[:50], blocks[1].items)
    assert not np.array_equal(few.items, next(draw(world, 8, 8, 100)).items)


def test_histories_fit_the_evaluation_windows() -> None:
    for context in (2, 3, 9, 64):
        lengths = block(build(SMALL), 0, context, 0).lengths

        assert lengths.max() == longest(context) == context // 2 + 1
        assert lengths.min() == max(2, (context // 2 + 1) // 2)


def test_gaps_tell_sessions() -> None:
    spec = SMALL
    histories = block(build(spec), 0, 16, 0)
    gaps, starts = np.diff(histories.times, axis=1), histories.starts[:, 1:]

    assert gaps[~starts].min() == 1
    assert gaps[~starts].max() == spec.within
    assert gaps[starts].min() > spec.silence
    assert starts.mean() == pytest.approx(spec.leave, abs=0.005)
    waits = (gaps[starts] - spec.silence) / spec.between
    assert kstest(waits, "expon").pvalue > 1e-3
    seconds = np.bincount(gaps[~starts], minlength=spec.within + 1)[1:]
    assert chisquare(seconds).pvalue > 1e-3


def test_a_uniform_near_one_stays_in_its_row() -> None:
    class Near:
        def random(self, count: int) -> np.ndarray:
            return np.full(count, 1 - 2.0**-53)

    draws = Draws(np.full((16, 3), 1 / 3))

    assert draws(Near(), np.arange(16)).tolist() == [2] * 16  # type: ignore[arg-type]


def test_payments_follow_their_distributions() -> None:
    world = named("world-payments")
    histories = block(world, 0, 64, 0)
    assert histories.marks is not None
    assert world.spec.payments is not None
    fraud, present = histories.marks.fraud, histories.present
    rate = world.spec.payments.rate
    # Runs of mean length 1 / ends make the share vary more than a binomial one does.
    runs = fraud[present].sum() * world.spec.payments.ends
    assert fraud[present].mean() == pytest.approx(rate, rel=5 * np.sqrt(2 / runs))
    assert 0.002 < rate < 0.005
    ended = fraud[:, :-1] & ~fraud[:, 1:]
    assert ended.sum() / fraud[:, :-1].sum() == pytest.approx(world.spec.payments.ends, abs=0.04)

    category = world.category[histories.items]
    for state, chosen in enumerate((present & ~fraud, present & fraud)):
        c, amount = category[chosen], histories.marks.amounts[chosen]
        scaled = (np.log(amount) - world.amount_mean[state, c]) / world.amount_sd[state, c]
        assert kstest(scaled[:5000], "norm").pvalue > 1e-3
        kinds = np.bincount(histories.marks.kinds[chosen], minlength=3)
        assert chisquare(kinds, world.kind[state, c].sum(axis=0)).pvalue > 1e-3
    merchants = np.bincount(world.category[histories.items[fraud & present]], minlength=32)
    by_category = np.bincount(world.category, world.emission[-1], minlength=32)
    enough = by_category * merchants.sum() > 5
    expected = by_category[enough] * merchants[enough].sum() / by_category[enough].sum()
    assert chisquare(merchants[enough], expected).pvalue > 1e-6  # fraud comes in runs


def test_entropies_of_the_named_worlds() -> None:
    expected = {"world-low": 2.5, "world-middle": 3.9, "world-high": 5.5, "world-payments": 4.6}
    for name, entropy in expected.items():
        _, found, user, place = sampled(name, 2000)

        assert -found.logp[user, place].mean() == pytest.approx(entropy, abs=0.1)


def test_knowing_more_lowers_the_entropy() -> None:
    world = named("world-low")
    histories = block(world, 0, 64, 0).users(slice(0, 3000))
    present = histories.present
    present[:, 0] = False
    gain = (
        forward(world, histories, "events").logp - forward(world, histories, "items").logp
    )  # log p with sessions known, less without
    estimate = mean_over_users(np.where(present, gain, 0).sum(axis=1), present.sum(axis=1))

    assert estimate.standard_error is not None
    assert estimate.mean > 5 * estimate.standard_error


def test_calibration_of_the_predictive() -> None:
    # What is predicted with probability p comes true so often: of the first item and of ten.
    world = named("world-middle")
    histories, found, user, place = sampled("world-middle", 400)
    chosen = np.random.default_rng(0).choice(len(user), 4000, replace=False)
    user, place = user[chosen], place[chosen]
    p = probabilities(world, histories, found.mixture[user, place], user, place)
    came = histories.items[user, place]

    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)), abs=1e-12)
    assert np.log(p[np.arange(len(p)), came]) == pytest.approx(found.logp[user, place], abs=1e-12)
    best = p.argmax(axis=1)
    sure, right = p.max(axis=1), best == came
    for part in np.array_split(np.argsort(sure), 5):
        error = np.sqrt((sure[part] * (1 - sure[part])).sum())
        assert abs((right[part] - sure[part]).sum()) < 4 * error
    top = np.argpartition(-p, 10, axis=1)[:, :10]
    chance = np.take_along_axis(p, top, axis=1).sum(axis=1)
    hits = (top == came[:, None]).any(axis=1)
    assert abs((hits - chance).sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())


def test_calibration_of_fraud() -> None:
    world = named("world-payments")
    histories = block(world, 0, 64, 0).users(slice(0, 6000))
    assert histories.marks is not None
    posterior = forward(world, histories, "events").fraud
    assert posterior is not None
    present = histories.present
    p, label = posterior[present], histories.marks.fraud[present]

    for low, high in ((0, 0.001), (0.001, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)):
        rows = (p >= low) & (p < high)
        error = np.sqrt((p[rows] * (1 - p[rows])).sum())
        # Neighbouring events share a fraud, hence 6 and not 4 standard errors.
        assert abs((label[rows] - p[rows]).sum()) < 6 * error
    found = detection(p, label)
    assert found is not None
    assert 0.9 < found.auc < 0.999


def test_oracle_ranks_order_the_catalogue() -> None:
    world = build(SMALL)
    histories = block(world, 0, 16, 0).users(slice(0, 40))
    found = forward(world, histories, "items")
    user, place = np.nonzero(histories.present & (np.arange(9) > 0))

    ranks = oracle_ranks(world, histories, found, user, place)

    assert ranks.logp is not None
    for row, (u, t) in enumerate(zip(user.tolist(), place.tolist(), strict=True)):
        p = found.mixture[u, t, 1:] @ world.emission
        for item in histories.items[u, max(t - 5, 0) : t]:
            p[item] += found.mixture[u, t, 0] / min(t, 5)
        own = p[histories.items[u, t]]
        assert np.exp(ranks.logp[row]) == pytest.approx(own, abs=1e-14)
        assert ranks.higher[row] == (p > own + 1e-15).sum()
        assert ranks.equal[row] == 0


def test_standard_error_by_users() -> None:
    # Two users: sums 4 and 2 over 2 and 2 positions: mean 1.5, residuals +1 and -1.
    found = mean_over_users(np.array([4.0, 2.0]), np.array([2, 2]))
    assert (found.mean, found.n_positions, found.n_users) == (1.5, 4, 2)
    assert found.standard_error == pytest.approx(np.sqrt(2 * 2) / 4)
    # One position a user: the textbook's standard error of a mean.
    values = np.random.default_rng(0).normal(size=50)
    plain = mean_over_users(values, np.ones(50, dtype=np.int64))
    assert plain.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    assert mean_over_users(np.array([1.0]), np.array([1])).standard_error is None


def test_fresh_goes_on_until_it_is_precise() -> None:
    world = build(SMALL)
    few, none = fresh(world, 0, 6, "items", positions=1, precision=1.0)
    more, _ = fresh(world, 0, 6, "items", positions=100_000, precision=1.0)
    precise, _ = fresh(world, 0, 6, "items", positions=1, precision=0.004)
    later, _ = fresh(world, 0, 6, "items", after=1, positions=1, precision=1.0)

    assert none is None
    assert few.n_users == later.n_users == BLOCK
    assert more.n_positions >= 100_000 > more.n_positions - BLOCK * 3
    assert precise.standard_error is not None
    assert precise.standard_error <= 0.004
    assert precise.n_users > BLOCK
    assert later.mean != few.mean
    assert few.standard_error is not None
    assert later.mean == pytest.approx(few.mean, abs=5 * few.standard_error)


def test_detection_counts_pairs_and_shares_ties() -> None:
    # Scores .9 .8 .8 .3, labels 1 0 1 0: pairs won 2 + 1.5 of 4; precision 1 at recall 1/2,
    # then 2/3 for the tied pair at recall 1.
    found = detection(np.array([0.8, 0.9, 0.3, 0.8]), np.array([False, True, False, True]))

    assert found is not None
    assert found.auc == pytest.approx(3.5 / 4)
    assert found.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert (found.n_events, found.n_fraud) == (4, 2)
    assert detection(np.array([0.1, 0.2]), np.array([False, False])) is None


def config(name: str = "world-payments", **world: int) -> DataConfig:
    return DataConfig(source=name, context=8, world={"users": 60, "seed": 2} | world)


def test_a_source_writes_what_is_drawn(tmp_path: Path) -> None:
    made = World(config())
    raw = made.fetch(tmp_path / "cache", None)
    tables = made.load(raw, tmp_path)
    histories = next(draw(named("world-payments"), 2, 8, 60))
    assert histories.marks is not None
    present = histories.present

    with engine(tmp_path) as connection:
        view(connection, "events", tables.events)
        view(connection, "items", tables.items)
        rows = connection.sql("SELECT * FROM events ORDER BY line").fetchnumpy()
        items = connection.sql("SELECT * FROM items ORDER BY line").fetchnumpy()
    assert rows["user_id"].tolist() == np.repeat(np.arange(60), histories.lengths).tolist()
    assert rows["item_id"].tolist() == histories.items[present].tolist()
    assert rows["timestamp"].tolist() == histories.times[present].tolist()
    assert rows["amount"].tolist() == histories.marks.amounts[present].tolist()
    assert (rows["fraud"] == "yes").tolist() == histories.marks.fraud[present].tolist()
    starts = np.diff(rows["session_id"], prepend=-1) != 0
    assert starts.tolist() == histories.starts[present].tolist()
    assert items["item_id"].tolist() == list(range(8_000))
    assert {name for name, _ in tables.schema.columns} <= set(items)
    assert {name for name, _ in tables.schema.events} == {"amount", "type", "fraud"}
    assert (made.info.n_items, made.info.n_users, made.info.n_events) == (8_000, 60, None)


def test_item_columns_tell_features_up_to_their_noise() -> None:
    for name in WORLDS:
        world = named(name)
        noise = source.items_table(world)["f2"].to_numpy() - world.features[:, 1]

        assert kstest(noise / world.spec.noise, "norm").pvalue > 1e-3


def test_the_cache_is_keyed_by_all_that_matters(tmp_path: Path) -> None:
    made = [
        World(config(**change)).fetch(tmp_path, None) for change in ({}, {"users": 61}, {"seed": 3})
    ]
    other = World(config().model_copy(update={"context": 10})).fetch(tmp_path, None)
    before = (made[0] / "events.parquet").stat().st_mtime_ns

    assert len({*made, other}) == 4
    assert World(config()).fetch(tmp_path, None) == made[0]
    assert (made[0] / "events.parquet").stat().st_mtime_ns == before
    elsewhere = World(config()).fetch(tmp_path / "again", None)
    for name in ("events.parquet", "items.parquet"):
        assert (elsewhere / name).read_bytes() == (made[0] / name).read_bytes()
    few, more = (pq.read_table(folder / "events.parquet") for folder in made[:2])
    assert more.slice(0, len(few)).equals(few)


def test_a_cut_file_in_the_cache_is_refused(tmp_path: Path) -> None:
    raw = World(config()).fetch(tmp_path, None)
    file = raw / "events.parquet"
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(DataError, match=r"events.parquet: not the file that was drawn.*delete"):
        World(config()).fetch(tmp_path, None)
    file.unlink()
    with pytest.raises(DataError, match="delete"):
        World(config()).load(raw, tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(source, "events_table", full)

    with pytest.raises(DataError, match="No space left on device; make room"):
        World(config()).fetch(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_world_is_named() -> None:
    with pytest.raises(DataError, match="no world is named 'world-flat'; there are world-low"):
        World(config("world-flat"))


def test_worlds_differ_and_are_proper() -> None:
    for name, spec in WORLDS.items():
        world = named(name)
        assert spec.name == name
        assert named(name) is world
        assert world.pi.sum() == pytest.approx(1)
        assert world.theta.sum(axis=2) == pytest.approx(np.ones(world.theta.shape[:2]))
        assert world.emission.sum(axis=1) == pytest.approx(np.ones(len(world.emission)))
    for one, other in itertools.combinations(WORLDS.values(), 2):
        assert one.seed != other.seed
    again = build(replace(WORLDS["world-low"], name="copy"))
    assert np.array_equal(again.emission, named("world-low").emission)
