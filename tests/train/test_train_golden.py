"""A golden run: when the code changes numbers, NUMERICS has to be raised with it.

The run id hashes the spec and NUMERICS, not the code. If the numbers below move, records trained
before and after would share an id: raise records/spec.py NUMERICS, then write the new numbers
here. The tolerance allows for another kind of processor, not for another algorithm.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from behavior_scaling.records.spec import NUMERICS, EmbedderSpec, ObjectiveSpec

LOSS = "validation/restored/all/cross_entropy"
RAW = "validation/raw/all/cross_entropy"

# NUMERICS: (train loss, restored loss) of the parent; (restored, raw loss) of the child.
GOLDEN = {3: ((1.6542577670, 3.5351337758), (3.4257175241, 3.4160089590))}


def test_numbers_move_only_with_numerics(train, spec, tmp_path):
    spec = replace(spec, embedder=EmbedderSpec("transformer", 6, 1), positions=700)
    parent = train(spec, "parent").metrics
    objective = ObjectiveSpec("as_paper", 4, 4, "mask")
    child_spec = replace(spec, stage=2, parent=spec.id, objective=objective)
    embedder = tmp_path / "parent" / "embedder.safetensors"
    child = train(child_spec, "child", parent_embedder=embedder).metrics
    found = ((parent["train_loss"], parent[LOSS]), (child[LOSS], child[RAW]))
    assert NUMERICS in GOLDEN, "write the numbers of the new NUMERICS here"
    for ours, golden in zip(found, GOLDEN[NUMERICS], strict=True):
        assert ours == pytest.approx(golden, rel=2e-5), (
            f"the code changed numbers ({found}): raise NUMERICS in records/spec.py"
        )
