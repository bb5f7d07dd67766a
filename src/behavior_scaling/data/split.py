"""The time split: train before t1, then users hashed into a validation and a test half.

Choices: t1 is an event's own time and train is strictly before it, so equal times never
straddle the cut; a user's half comes from a hash of the id alone, so it stays the same when
other users join or leave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.store import TEST, TRAIN, VALIDATION


def cut_time(times: NDArray[np.int64], fraction: float) -> int:
    """The time t1 of the event that `fraction` of all events precede in order of time.

    At most that share of the events is then strictly before t1: fewer where times are equal.

    Raises:
        DataError: no event is strictly before t1.
    """
    t1 = int(np.sort(times)[int(fraction * len(times))])
    if not (times < t1).any():
        raise DataError(
            f"no event is earlier than the cut-off {t1} at a train fraction of {fraction}; "
            f"raise it, or check the timestamps"
        )
    return t1


def in_test_half(user_ids: Iterable[object]) -> NDArray[np.bool_]:
    """Which users belong to the test half after t1; the others are validation users [n]."""
    digests = (hashlib.blake2b(str(user).encode(), digest_size=1).digest() for user in user_ids)
    return np.array([digest[0] % 2 == 1 for digest in digests], dtype=bool)


def split_codes(
    times: NDArray[np.int64], user: NDArray[np.int64], t1: int, test_half: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """TRAIN, VALIDATION or TEST for every event [E], from its time and its user's half."""
    after = np.where(test_half[user], TEST, VALIDATION)
    return np.where(times < t1, TRAIN, after).astype(np.uint8)
