"""Slices: bands of popularity by hand, and every position on one side of every division."""

import numpy as np

from behavior_scaling.data.slices import popularity_head, slice_masks


def test_the_head_is_the_smallest_set_with_half_of_the_training_events():
    # 10 events: 4 + 2 reach half, and of the two items with 2 events the first comes first.
    head = popularity_head(np.array([1, 2, 4, 0, 2, 1]))
    assert np.flatnonzero(head).tolist() == [1, 2]


def test_an_item_that_reaches_half_exactly_closes_the_head():
    assert np.flatnonzero(popularity_head(np.array([5, 3, 2]))).tolist() == [0]


def test_no_training_events_means_no_head():
    assert not popularity_head(np.zeros(4, dtype=np.int64)).any()


def test_divisions_are_complete_and_disjoint():
    rng = np.random.default_rng(1)
    cold = rng.random(50) < 0.3
    flags = {
        "session_start": rng.random(50) < 0.4,
        "seen_user": rng.random(50) < 0.5,
        "cold": cold,
        "head": ~cold & (rng.random(50) < 0.5),
    }
    masks = slice_masks(flags)
    for parts in (
        ("session_start", "in_session"),
        ("seen_user", "unseen_user"),
        ("cold_item", "popular_head", "popular_tail"),
    ):
        assert (sum(masks[part].astype(int) for part in parts) == masks["all"]).all()
    assert masks["all"].all()
