"""The ranks file: what evaluation keeps of every position, and the metrics made from it.

One Parquet file a run, so that a new metric of ranks needs no retraining. Two kinds of rows:
`basket` false: one row a target event, scored from the state just before it; `basket` true: one
row for each distinct item of a session that opens with a target, all scored from the state before
the session. `event` and `state` are rows of the dataset: the scored event, and the first event
that its state has not seen (equal to `event` where `basket` is false).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from behavior_scaling.data.baskets import basket_metrics
from behavior_scaling.data.slices import FLAGS, slice_masks
from behavior_scaling.evaluate.metrics import rank_metrics
from behavior_scaling.files import replacing

Split = Literal["validation", "test"]
Score = Literal["raw", "restored"]
Metrics = dict[str, float | int | None]

SPLITS: dict[Split, int] = {"validation": 1, "test": 2}  # codes of the dataset's split array
SCORES: tuple[Score, ...] = ("raw", "restored")


@dataclass(frozen=True)
class RankTable:
    """Columns of the ranks file, one entry a row [R]."""

    split: npt.NDArray[np.uint8]  # 1 validation, 2 test
    user: npt.NDArray[np.int32]
    event: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]
    basket: npt.NDArray[np.bool_]
    higher_raw: npt.NDArray[np.int32]  # catalogue items that score above the target
    equal_raw: npt.NDArray[np.int32]  # other items that score the same
    logp_raw: npt.NDArray[np.float32]  # full-catalogue log-probability of the target, nats
    higher_restored: npt.NDArray[np.int32]
    equal_restored: npt.NDArray[np.int32]
    logp_restored: npt.NDArray[np.float32]
    session_start: npt.NDArray[np.bool_]
    seen_user: npt.NDArray[np.bool_]
    cold: npt.NDArray[np.bool_]
    head: npt.NDArray[np.bool_]

    def select(self, rows: npt.NDArray[np.bool_]) -> RankTable:
        """The rows where the mask is true."""
        return RankTable(**{name: values[rows] for name, values in self.columns().items()})

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def concatenate(cls, tables: list[RankTable]) -> RankTable:
        """One table below the other."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(table, n) for table in tables]) for n in names})


def write_ranks(table: RankTable, path: Path) -> None:
    """Write the ranks file, whole or not at all."""
    write_columns(table.columns(), path)


def read_ranks(path: Path) -> RankTable:
    """Read a ranks file.

    Raises:
        ValueError: a column is missing or unknown; the message names the file and the columns.
    """
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(path)
    expected = {field.name for field in fields(RankTable)}
    odd = sorted(set(found.column_names) ^ expected)
    if odd:
        raise ValueError(f"{path}: not a ranks file: columns {odd} are missing or unknown")
    return RankTable(**{name: found[name].to_numpy() for name in sorted(expected)})


def write_columns(columns: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Write columns of one length to a Parquet file, whole or not at all."""
    import pyarrow
    import pyarrow.parquet

    # From buffers, for pyarrow.array imports pandas.
    arrays = []
    for values in columns.values():
        if values.dtype.kind == "U":
            kind = pyarrow.utf8()
            texts = [text.encode() for text in values.tolist()]
            ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
            parts = [ends, np.frombuffer(b"".join(texts), np.uint8)]
        else:
            kind = pyarrow.from_numpy_dtype(values.dtype)
            bits = values.dtype == bool
            parts = [np.packbits(values, bitorder="little") if bits else values]
        buffers = [pyarrow.py_buffer(np.ascontiguousarray(part)) for part in parts]
        arrays.append(pyarrow.Array.from_buffers(kind, len(values), [None, *buffers]))
    table = pyarrow.Table.from_arrays(arrays, names=list(columns))
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def metrics_from_ranks(table: RankTable) -> Metrics:
    """Every metric of ranks and the cross-entropy, by split, score and slice.

    Returns:
        '{split}/{score}/{slice}/{metric}' to value; None where the slice is empty. Metrics: recall,
        ndcg and mrr at 1, 5, 10, 20, 50, accuracy, cross_entropy (nats an event), n_positions,
        n_users; for session_start also basket_recall@10 and basket_ndcg@10 (metrics.py).
    """
    metrics: Metrics = {}
    for split, code in SPLITS.items():
        positions = table.select((table.split == code) & ~table.basket)
        baskets = table.select((table.split == code) & table.basket)
        masks = slice_masks({flag: getattr(positions, flag) for flag in FLAGS})
        for score, values in values_by_score(positions).items():
            for name, mask in masks.items():
                found = _slice_metrics(values, positions.user, mask)
                if name == "session_start":
                    found |= _basket_values(baskets, score)
                metrics |= {f"{split}/{score}/{name}/{key}": v for key, v in found.items()}
    return metrics


def _counts(table: RankTable, score: Score) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    if score == "raw":
        return table.higher_raw, table.equal_raw
    return table.higher_restored, table.equal_restored


def position_values(table: RankTable, score: Score) -> dict[str, npt.NDArray[np.float64]]:
    """Every metric of ranks and the cross-entropy of each row [R], by the metric's name."""
    logp = table.logp_raw if score == "raw" else table.logp_restored
    return rank_metrics(*_counts(table, score)) | {"cross_entropy": -logp.astype(np.float64)}


def values_by_score(table: RankTable) -> dict[Score, dict[str, npt.NDArray[np.float64]]]:
    """Position values of both scores, made once where the two are the same."""
    raw = position_values(table, "raw")
    same = all(
        np.array_equal(getattr(table, f"{name}_raw"), getattr(table, f"{name}_restored"))
        for name in ("higher", "equal", "logp")
    )
    return {"raw": raw, "restored": raw if same else position_values(table, "restored")}


def _slice_metrics(
    values: Mapping[str, npt.NDArray[np.float64]],
    user: npt.NDArray[np.int32],
    mask: npt.NDArray[np.bool_],
) -> Metrics:
    n = int(mask.sum())
    found: Metrics = dict.fromkeys(values)
    if n:
        means = np.compress(mask, np.stack(list(values.values())), axis=1).mean(axis=1)
        found = dict(zip(values, means.tolist(), strict=True))
    return found | {"n_positions": n, "n_users": len(np.unique(user[mask]))}


def _basket_values(table: RankTable, score: Score) -> Metrics:
    if len(table.user) == 0:
        return {"basket_recall@10": None, "basket_ndcg@10": None}
    return {**basket_metrics(table.state, table.user, *_counts(table, score))}
