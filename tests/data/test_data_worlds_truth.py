"""The truth on a prepared world: positions, slices and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import prepare
from behavior_scaling.data.rank_gains import expected
from behavior_scaling.data.sources.world import World
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import eval_windows
from behavior_scaling.data.worlds import oracle
from behavior_scaling.data.worlds import truth as room
from behavior_scaling.data.worlds.filter import forward
from behavior_scaling.data.worlds.generate import block
from behavior_scaling.data.worlds.named import named
from behavior_scaling.data.worlds.truth import truth

USERS = 300


def config(name: str) -> DataConfig:
    return DataConfig(
        source=name, context=16, tokens=8, least_targets=0, world={"users": USERS, "seed": 1}
    )


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("worlds")
    return {
        name: prepare(
            config(name), World(config(name)).fetch(folder / "cache", None), folder / name
        )
        for name in ("world-low", "world-payments")
    }


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block of fresh users is enough here."""
    monkeypatch.setattr(
        room, "fresh", lambda *a, **k: oracle.fresh(*a, **k, positions=1, precision=1.0)
    )


def test_evaluation_windows_see_whole_histories(datasets: dict[str, Dataset]) -> None:
    # What the filter conditions on is what the model sees: from the user's first event on.
    dataset = datasets["world-low"]
    scored = 0
    for split in ("validation", "test"):
        for batch in eval_windows(dataset, split, 16):
            for row in range(len(batch.event)):
                for place in np.flatnonzero(batch.valid[row]):
                    same = batch.document[row] == batch.document[row, place]
                    first = batch.event[row, same][0] - 1
                    assert first == dataset.offsets[batch.user[row, place]]
                    scored += 1
    assert scored == sum(len(dataset.eval_events(s)) for s in ("validation", "test"))


def test_slices_are_means_over_the_evaluation_positions(datasets: dict[str, Dataset]) -> None:
    dataset, world = datasets["world-low"], named("world-low")
    histories = block(world, 1, 16, 0).users(slice(0, USERS))
    body = truth(dataset, config("world-low"))

    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert (body["world"], body["users"], body["seed"]) == ("world-low", USERS, 1)
    for information in ("items", "events"):
        filtered = forward(world, histories, information)
        for split in ("validation", "test"):
            targets = dataset.eval_events(split)
            user = np.searchsorted(dataset.offsets, targets, side="right") - 1
            place = targets - dataset.offsets[user]
            start = histories.starts[user, place]
            ranks = oracle.oracle_ranks(world, histories, filtered, user, place)
            for name, rows in (
                ("all", np.ones(len(targets), dtype=bool)),
                ("session_start", start),
                ("in_session", ~start),
            ):
                found = body[information][split][name]
                loss = -filtered.logp[user, place][rows].mean()
                assert found["cross_entropy"] == pytest.approx(loss, abs=1e-12)
                assert found["n_positions"] == found["n_ranked"] == rows.sum() > 0
                assert found["n_users"] == len(set(user[rows].tolist()))
                for kind in ("recall", "ndcg", "mrr"):
                    gains = expected(kind, 10, ranks.higher[rows], ranks.equal[rows])
                    assert found[f"{kind}@10"] == pytest.approx(gains.mean(), abs=1e-12)
    fresh = body["items"]["fresh"]["entropy"]
    on_positions = body["items"]["test"]["all"]
    assert on_positions["cross_entropy"] == pytest.approx(
        fresh["mean"], abs=5 * on_positions["standard_error"]
    )


def test_payments_tell_fraud_and_refuse_items_alone(datasets: dict[str, Dataset]) -> None:
    body = truth(datasets["world-payments"], config("world-payments"))

    assert list(body["items"]) == ["refused"]
    assert "lower bound" in body["items"]["refused"]
    assert 0.9 < body["events"]["fresh"]["fraud"]["auc"] < 1
    assert body["events"]["fresh"]["fraud"]["n_fraud"] > 100


def test_only_a_sample_is_ranked(
    datasets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RANKED", 50)
    body = truth(datasets["world-low"], config("world-low"))

    for split in ("validation", "test"):
        slices = body["events"][split]
        assert slices["all"]["n_ranked"] == 50 < slices["all"]["n_positions"]
        assert slices["session_start"]["n_ranked"] + slices["in_session"]["n_ranked"] == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "world-middle"}, "not those of world-middle"),
        ({"world": {"users": USERS - 1, "seed": 1}}, "not those of world-low with 299 users"),
        ({"world": {"users": USERS, "seed": 2}}, "other events than world-low draws with seed 2"),
        ({"context": 18}, "draws with seed 1 and L = 18"),
        ({"source": "ml-100k"}, "no world is named 'ml-100k'"),
    ],
)
def test_another_world_is_refused(
    datasets: dict[str, Dataset], change: dict[str, object], message: str
) -> None:
    other = DataConfig.model_validate(config("world-low").model_dump() | change)

    with pytest.raises(DataError, match=message):
        truth(datasets["world-low"], other)


@pytest.mark.parametrize("array", ["items", "times", "sessions"])
def test_an_altered_event_is_seen(datasets: dict[str, Dataset], array: str) -> None:
    dataset = datasets["world-low"]
    altered = getattr(dataset, array).copy()
    altered[5] += 1

    with pytest.raises(DataError, match="users 0 to 299 have other events"):
        truth(replace(dataset, **{array: altered}), config("world-low"))


def test_the_command_writes_json(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    study = Path(__file__).parents[2] / "config" / "quick.yaml"
    body = yaml.safe_load(study.read_text())
    body["data"] = config("world-low").model_dump(mode="json", exclude_defaults=True)
    body["objective"] = {"kind": "full", "in_batch": 0}
    body["axes"] = {"allocation": body["axes"]["allocation"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(body))
    given = ["--config", str(tmp_path / "study.yaml"), "--data", str(datasets["world-low"].path)]

    assert main(["truth", *given, "--out", str(tmp_path / "truth.json")]) == 0
    written = json.loads((tmp_path / "truth.json").read_text())
    assert written == truth(datasets["world-low"], config("world-low"))
