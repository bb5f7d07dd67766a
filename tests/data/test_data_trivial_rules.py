"""Rules without training on real data, against counts that were made with other code.

The reference: hit rates at 10 of the last tenth of the events by time, over the full catalogue, on
the three data sets (popularity, the user's own last ten, first-order Markov), computed once outside
of this package. It ranks by plain transition counts and scores every event; here the Markov rule is
interpolated with the unigram, repeated lines are dropped and a user's first event is no target, so
that agreement is asked within .02, and where the difference is larger the test says why.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.baselines import recency_ranks, unigram_ranks
from behavior_scaling.data.markov import markov_ranks
from behavior_scaling.data.prepare import prepare
from behavior_scaling.data.rank_gains import expected
from behavior_scaling.data.store import Dataset

KNOWN = {  # popularity, the user's own last ten, Markov
    "ml-100k": (0.039, 0.0, 0.097),
    "online-retail-ii": (0.022, 0.044, 0.280),
    "git-activity": (0.056, 0.193, 0.258),
}
FILES = {
    "online-retail-ii": "online_retail_ii.parquet",
    "git-activity": "git_activity_events.parquet",
}


@pytest.fixture(params=KNOWN)
def prepared_source(request, tmp_path: Path) -> tuple[str, Dataset]:
    name: str = request.param
    mirror = os.environ.get("BEHAVIOR_SCALING_MIRROR")
    if name in FILES and not (mirror and (Path(mirror) / FILES[name]).is_file()):
        pytest.skip(f"{FILES[name]} is not in the folder that BEHAVIOR_SCALING_MIRROR names")
    config = DataConfig(source=name, train_fraction=0.9, tokens=2)
    raw = sources.get(config).fetch(sources.cache_folder(), sources.mirror_folder())
    return name, prepare(config, raw, tmp_path / "d")


@pytest.mark.slow
def test_trivial_rules_reach_what_is_known_of_them(prepared_source) -> None:
    name, dataset = prepared_source
    found = []
    for ranks in (unigram_ranks, recency_ranks, markov_ranks):
        hits, count = 0.0, 0
        for split in ("validation", "test"):
            targets = dataset.eval_events(split)
            got = ranks(dataset, targets, targets)
            hits += float(expected("recall", 10, got.higher, got.equal).sum())
            count += len(targets)
        found.append(hits / count)

    print(name, [round(value, 4) for value in found])
    assert found == pytest.approx(KNOWN[name], abs=0.02)
