"""From the prepared data to what every contestant reads: training events, validation positions.

Choices: only training events leave, in the prepared order (ties in time keep it, because the
exported time is the event's number); validation positions and their histories are those of the
package's evaluation windows, so each sees min(history, L/2) to L events.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from settings import EVERY, LENGTH

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import EvalBatch, eval_windows
from behavior_scaling.files import replacing

RECBOLE = "peers"  # its data set's name: folder and file


def export(prepared: Path, folder: Path) -> None:
    """Write data.npz and RecBole's interaction file into a folder."""
    dataset = Dataset.open(prepared)
    if dataset.data_spec().context != LENGTH:
        raise ValueError(f"{prepared}: windows of {dataset.data_spec().context}, not {LENGTH}")
    lengths = dataset.train_lengths
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    starts = dataset.offsets[:-1]
    items = np.concatenate(
        [dataset.items[s : s + n] for s, n in zip(starts, lengths, strict=True)]
    ).astype(np.int64)
    parts = [_positions(b) for b in eval_windows(dataset, "validation", LENGTH)]
    histories, sizes, targets = (
        np.concatenate(column)[::EVERY] for column in zip(*parts, strict=True)
    )
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "data.npz") as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            prepared=str(prepared.resolve()),
            n_items=dataset.n_items,
            items=items,
            offsets=offsets,
            histories=histories,
            lengths=sizes,
            targets=targets,
        )
    _write_recbole(folder / RECBOLE / f"{RECBOLE}.inter", items, offsets)


def _positions(batch: EvalBatch) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """History, its length and the target of every scored position of a batch of windows."""
    rows, columns = np.nonzero(batch.valid)
    at = np.arange(LENGTH)
    same = batch.document[rows] == batch.document[rows, columns][:, None]
    present = same & (at <= columns[:, None])
    order = np.argsort(~present, axis=1, kind="stable")  # the history first, in its order
    shown = np.where(present, batch.inputs[rows], 0)
    histories = np.take_along_axis(shown, order, axis=1)
    return histories, present.sum(1), batch.targets[rows, columns]


def _write_recbole(path: Path, items: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    rows = "".join(f"{u}\t{i}\t{n}\n" for n, (u, i) in enumerate(zip(users, items, strict=True)))
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + rows)
