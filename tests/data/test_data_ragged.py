"""Ragged ranges by hand, empty stretches included."""

from __future__ import annotations

import numpy as np

from behavior_scaling.data.ragged import chunks, ragged


def test_stretches_are_laid_out_in_order() -> None:
    owner, index = ragged(np.array([10, 5, 7, 0]), np.array([2, 0, 3, 1]))

    assert owner.tolist() == [0, 0, 2, 2, 2, 3]
    assert index.tolist() == [10, 11, 7, 8, 9, 0]


def test_chunks_keep_to_the_limit_unless_a_stretch_is_longer() -> None:
    lengths = np.array([3, 2, 9, 0, 1, 4])

    parts = [(part.start, part.stop) for part in chunks(lengths, 5)]

    assert parts == [(0, 2), (2, 3), (3, 6)]
    assert list(chunks(np.array([], dtype=np.int64), 5)) == []
