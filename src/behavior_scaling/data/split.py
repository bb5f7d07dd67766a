"""Splits: which events train, which are targets of validation and of test.

The time split (the default): train before t1, then users hashed into a validation and a test half.
Leave-one-out and last-n, for comparison with the literature: the last n events of a user are test,
the n before them validation, the others train; users with fewer than 2 n + 1 events only train.

Choices: t1 is an event's own time and train is strictly before it, so equal times never
straddle the cut; a user's half comes from a hash of the id alone, so it stays the same when
other users join or leave. Users who train are the first of one order, by another hash of the id, so
that a smaller set is a part of every larger one, and so are users who are scored; events of the
others stay visible as history (CONTEXT).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.store import CONTEXT, TEST, TRAIN, VALIDATION

_BUCKETS = 1 << 16

Ints = NDArray[np.int64]


def cut_time(pieces: Callable[[], Iterator[Ints]], count: int, fraction: float) -> int:
    """The time t1 of the event that `fraction` of all events precede in order of time.

    At most that share of the events is then strictly before t1: fewer where times are equal. The
    order statistic is found among ever narrower ranges of time, by counting.

    Args:
        pieces: gives the times, unix seconds, in pieces; called as often as it takes.
        count: how many there are.
        fraction: the share.

    Raises:
        DataError: no event is strictly before t1.
    """
    wanted = int(fraction * count)
    low = earliest = min(int(piece.min()) for piece in pieces())
    high = max(int(piece.max()) for piece in pieces())
    while high > low:
        width = -(-(high - low + 1) // _BUCKETS)
        held = np.zeros(_BUCKETS, dtype=np.int64)
        for piece in pieces():
            within = piece[(piece >= low) & (piece <= high)]
            held += np.bincount((within - low) // width, minlength=_BUCKETS)
        bucket = int(np.searchsorted(np.cumsum(held), wanted, side="right"))
        wanted -= int(held[:bucket].sum())
        low, high = low + bucket * width, min(high, low + (bucket + 1) * width - 1)
    if low == earliest:
        raise DataError(
            f"no event is earlier than the cut-off {low} at a train fraction of {fraction}; "
            f"raise it, or check the timestamps"
        )
    return low


def in_test_half(user_ids: Iterable[object]) -> NDArray[np.bool_]:
    """Which users belong to the test half after t1; the others are validation users [n]."""
    digests = (hashlib.blake2b(str(user).encode(), digest_size=1).digest() for user in user_ids)
    return np.array([digest[0] % 2 == 1 for digest in digests], dtype=bool)


def first_users(user_ids: Iterable[object], share: float, order: bytes) -> NDArray[np.bool_]:
    """The first `share` of the users in a named order that subsets are prefixes of [n]."""
    digests = [
        hashlib.blake2b(str(user).encode(), digest_size=8, person=order).digest()
        for user in user_ids
    ]
    keys = np.frombuffer(b"".join(digests), dtype=">u8")
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[np.argsort(keys, kind="stable")[: max(1, round(share * len(keys)))]] = True
    return chosen


def split_codes(
    times: Ints, user: Ints, t1: int, test_half: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """TRAIN, VALIDATION or TEST for every event [E], from its time and its user's half."""
    after = np.where(test_half[user], TEST, VALIDATION)
    return np.where(times < t1, TRAIN, after).astype(np.uint8)


def last_codes(event: Ints, user: Ints, offsets: Ints, n: int) -> NDArray[np.uint8]:
    """The codes of the last-n split for events by their index [E]."""
    from_end = offsets[user + 1] - 1 - event
    held = np.where(from_end < n, TEST, np.where(from_end < 2 * n, VALIDATION, TRAIN))
    return np.where(np.diff(offsets)[user] > 2 * n, held, TRAIN).astype(np.uint8)


def with_context(
    codes: NDArray[np.uint8],
    user: Ints,
    training: NDArray[np.bool_] | None,
    scored: NDArray[np.bool_] | None,
) -> NDArray[np.uint8]:
    """The codes, CONTEXT for training events of users who don't train and late ones not scored."""
    for some, concerned in ((training, codes == TRAIN), (scored, codes != TRAIN)):
        if some is not None:
            codes = np.where(concerned & ~some[user], CONTEXT, codes)
    return codes.astype(np.uint8)
