"""Ragged ranges by hand, empty stretches included."""

from __future__ import annotations

import numpy as np

from behavior_scaling.data.ragged import chunks, evenly, placed, ragged


def test_stretches_are_laid_out_in_order() -> None:
    owner, index = ragged(np.array([10, 5, 7, 0]), np.array([2, 0, 3, 1]))

    assert owner.tolist() == [0, 0, 2, 2, 2, 3]
    assert index.tolist() == [10, 11, 7, 8, 9, 0]


def test_chunks_keep_to_the_limit_unless_a_stretch_is_longer() -> None:
    lengths = np.array([3, 2, 9, 0, 1, 4])

    parts = [(part.start, part.stop) for part in chunks(lengths, 5)]

    assert parts == [(0, 2), (2, 3), (3, 6)]
    assert list(chunks(np.array([], dtype=np.int64), 5)) == []


def test_some_values_evenly_spread_or_all() -> None:
    assert evenly(np.arange(10, 20), 4).tolist() == [10, 12, 15, 17]
    assert evenly(np.arange(3), 3).tolist() == [0, 1, 2]


def test_places_in_rows_by_hand() -> None:
    # Rows: [.5 .5 .2], nothing, [-1 0]; asked: .5 and .3 in the first, 1 in the second, -1, 2.
    row, value = np.array([0, 2, 0, 0, 2]), np.array([0.5, -1.0, 0.2, 0.5, 0.0])
    higher, same = placed(row, value, np.array([0, 0, 1, 2, 2]), np.array([0.5, 0.3, 1, -1, 2]))
    assert higher.tolist() == [0, 2, 0, 1, 0]
    assert same.tolist() == [2, 0, 0, 1, 0]
