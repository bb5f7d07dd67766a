"""Sums of metrics over groups of users: what resampling users needs of a run, in a small file.

Choices: users are hashed into 64 groups, so that every run on the same data has the same groups
and one draw of groups resamples the users of all runs jointly. The hash is over a user's number
in the data set (as in the ranks file) and salted apart from the one that halves the users after
t1, so that both halves fill every group. Only metrics that are means over positions are kept:
next-basket metrics are averaged per user first, and no sum over positions gives them back.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from behavior_scaling.data.slices import FLAGS, slice_masks
from behavior_scaling.evaluate.ranks import SPLITS, RankTable, values_by_score, write_columns
from behavior_scaling.records.columns import USER_COLUMNS, USER_SUMS

if TYPE_CHECKING:
    import pandas as pd

GROUPS = 64
SALT = b"user groups"
SLICES = ("all", "session_start")


def group_of(user: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The group, 0 to 63, of every user number [n]."""
    distinct, inverse = np.unique(user, return_inverse=True)
    digests = (
        hashlib.blake2b(str(one).encode(), digest_size=1, salt=SALT).digest() for one in distinct
    )
    groups = np.array([digest[0] % GROUPS for digest in digests], dtype=np.int64)
    return groups[inverse]


def user_sums(table: RankTable) -> pd.DataFrame:
    """One row for every split, slice, score and group, groups without a position included.

    Returns:
        USER_COLUMNS: the keys, n_positions, and by the metrics' names the sums over positions
        (cross_entropy in nats). Sums over all groups divided by their positions are
        the metrics '{split}/{score}/{slice}/{metric}' of the record.
    """
    import pandas as pd

    return pd.DataFrame(_columns(table))


def write_user_sums(table: RankTable, path: Path) -> None:
    """Write the file of sums, whole or not at all."""
    write_columns(_columns(table), path)


def _columns(table: RankTable) -> dict[str, npt.NDArray[Any]]:
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in USER_COLUMNS}
    for split, code in SPLITS.items():
        positions = table.select((table.split == code) & ~table.basket)
        masks = slice_masks({flag: getattr(positions, flag) for flag in FLAGS})
        group = group_of(positions.user)
        for score, values in values_by_score(positions).items():
            for name in SLICES:
                mask = masks[name]
                for key, value in {"split": split, "slice": name, "score": score}.items():
                    parts[key].append(np.full(GROUPS, value))
                parts["group"].append(np.arange(GROUPS))
                parts["n_positions"].append(np.bincount(group[mask], minlength=GROUPS))
                for metric in USER_SUMS:
                    sums = np.bincount(group[mask], values[metric][mask], GROUPS)
                    parts[metric].append(sums)
    return {name: np.concatenate(found) for name, found in parts.items()}
