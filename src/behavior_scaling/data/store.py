"""The prepared data set: a folder of .npy arrays, read through memory maps, and meta.json.

Choices: one array a file, so that opening costs nothing and the kernel shares pages between
runs; events lie sorted by (user, time, line order), so that a user's training events are the
first of their stretch; meta.json holds the SHA-256 of every array and is written last
(store_write.py); what only some readers need has files and readers of its own beside the arrays.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.files import sha256_file
from behavior_scaling.records.spec import DataSpec

if TYPE_CHECKING:
    from behavior_scaling.data.event_columns import EventColumns
    from behavior_scaling.data.item_columns import ItemColumns
    from behavior_scaling.data.item_vectors import ItemVectors

TRAIN, VALIDATION, TEST = 0, 1, 2
CONTEXT = 3  # history only: before the cut, of a user who does not train
SPLIT_CODES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
EvalSplit = Literal["validation", "test"]

META = "meta.json"
FORMAT = 2

DTYPES: dict[str, str] = {
    "items": "<i4",
    "times": "<i8",
    "sessions": "<i4",
    "split": "|u1",
    "offsets": "<i8",
    "codes": "<i4",
    "weights": "<f4",
    "train_counts": "<i8",
    "user_in_train": "|b1",
}


@dataclass(frozen=True)
class Arrays:
    """What a data set holds; E events, V items of the catalogue, T feature tokens.

    Every array is read-only where it comes from `Dataset.open`.
    """

    items: NDArray[np.int32]  # [E] index into the catalogue, sorted by (user, time, line)
    times: NDArray[np.int64]  # [E] unix seconds
    sessions: NDArray[np.int32]  # [E] running number, changes where a session starts
    split: NDArray[np.uint8]  # [E] TRAIN, VALIDATION, TEST or CONTEXT
    offsets: NDArray[np.int64]  # [n_users + 1] user u owns events offsets[u]:offsets[u + 1]
    codes: NDArray[np.int32]  # [V, T] rows of the codebook; padding 0
    weights: NDArray[np.float32]  # [V, T] padding 0
    train_counts: NDArray[np.int64]  # [V] training events
    user_in_train: NDArray[np.bool_]  # [n_users]
    item_ids: NDArray[Any]  # [V] the source's ids, int64 or unicode, in catalogue order


@dataclass(frozen=True)
class Meta:
    """What meta.json says about a data set, hashes of the files aside."""

    spec: DataSpec
    n_events: int
    n_users: int
    n_items: int
    n_train: int  # training events
    unique_positions: int  # U: train events that a train event of the same user follows
    t1: int | None  # unix seconds; train is t < t1; None where the split is not by time
    unigram_entropy: float  # nats, of the item frequencies in train
    eval_positions: dict[str, int]  # per split: its events that have a predecessor
    vocabulary: dict[str, float]  # facts about the feature tokens, see item_features.py
    missing: dict[str, float]  # share of items without a value, by feature column
    vectors: list[str]  # columns of precomputed vectors, see item_vectors.py
    event_features: list[str]  # in the order of their levels, see event_columns.py
    dropped: int  # lines that repeated an earlier one


@dataclass(frozen=True)
class Dataset(Arrays):
    """A prepared data set: its arrays, its facts, and the folder that holds them."""

    path: Path
    meta: Meta

    @classmethod
    def open(cls, path: Path, verify: bool = False) -> Dataset:
        """Map a prepared folder into memory; nothing is read but the headers.

        Args:
            path: folder that `prepare` has written.
            verify: read every file and compare its SHA-256 with meta.json.

        Raises:
            DataError: the folder, one of its files or its meta.json is missing, of another
                format, of a wrong shape, or (with verify) altered.
        """
        raw = _read_meta(path)
        try:
            facts = dict(raw["facts"])
            meta = Meta(spec=DataSpec(**facts.pop("spec")), **facts)
            hashes: dict[str, str] = raw["files"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path / META}: lacks or misnames {error}; prepare it again") from None
        for name in hashes if verify else ():
            _check_file(path / name, hashes[name])
        arrays = {}
        for field in dataclasses.fields(Arrays):
            file = path / f"{field.name}.npy"
            if not file.is_file() or file.name not in hashes:
                raise DataError(f"{file}: missing from the prepared data; prepare it again")
            try:
                mapped = np.load(file, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise DataError(f"{file}: no readable array: {error}") from None
            arrays[field.name] = np.asarray(mapped)
        dataset = cls(**arrays, path=path, meta=meta)
        dataset._check_shapes()
        return dataset

    def _check_shapes(self) -> None:
        meta = self.meta
        events, users, items = (meta.n_events,), (meta.n_users,), (meta.n_items,)
        tokens = (meta.n_items, meta.spec.tokens)
        shapes = {
            **dict.fromkeys(("items", "times", "sessions", "split"), events),
            **dict.fromkeys(("codes", "weights"), tokens),
            **dict.fromkeys(("train_counts", "item_ids"), items),
            "offsets": (meta.n_users + 1,),
            "user_in_train": users,
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            dtype = DTYPES.get(name, array.dtype.str)
            if array.shape != shape or array.dtype.str != dtype:
                raise DataError(
                    f"{self.path / name}.npy: is {array.dtype.str}{array.shape}, "
                    f"{META} wants {dtype}{shape}; prepare it again"
                )

    @property
    def n_events(self) -> int:
        """E, events of all splits."""
        return self.meta.n_events

    @property
    def n_users(self) -> int:
        """Users of all splits."""
        return self.meta.n_users

    @property
    def n_items(self) -> int:
        """V, the whole catalogue, cold items included."""
        return self.meta.n_items

    @property
    def unique_positions(self) -> int:
        """U, the loss positions of one epoch."""
        return self.meta.unique_positions

    @cached_property
    def unigram(self) -> NDArray[np.float64]:
        """Train unigram over the catalogue [V], smoothed by adding 1/2 to every count."""
        return smoothed_unigram(self.train_counts)

    @cached_property
    def train_lengths(self) -> NDArray[np.int64]:
        """Train events of each user [n_users]; they are the first of the user's stretch."""
        before = np.concatenate(([0], np.cumsum(self.split == TRAIN)))
        return np.diff(before[self.offsets])

    def eval_events(self, split: EvalSplit) -> NDArray[np.int64]:
        """Events of a split that have a predecessor of the same user: the targets, in order."""
        return eligible_targets(self.split, self.offsets, split)

    def data_spec(self) -> DataSpec:
        """The part of a run's spec that names this data."""
        return self.meta.spec

    def item_columns(self) -> ItemColumns:
        """Which column every token comes from, and the items' numbers.

        Raises:
            DataError: the data were prepared before columns were kept.
        """
        from behavior_scaling.data.item_columns import open_item_columns  # imports pandas

        return open_item_columns(self.path)

    def item_vectors(self) -> tuple[ItemVectors, ...]:
        """Precomputed vectors of the items, a column each, memory-mapped.

        Raises:
            DataError: a file is missing.
        """
        from behavior_scaling.data.item_vectors import open_item_vectors

        return open_item_vectors(self.path, self.meta.vectors)

    def event_columns(self) -> EventColumns:
        """Event features as levels, and what a level is.

        Raises:
            DataError: a file is missing or of a wrong shape.
        """
        from behavior_scaling.data.event_columns import open_event_columns

        return open_event_columns(self.path, self.meta.event_features)


def smoothed_unigram(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(count + 1/2) / (events + V/2) for every item [V]."""
    raised = counts + 0.5
    smoothed: NDArray[np.float64] = raised / raised.sum()
    return smoothed


def eligible_targets(
    split: NDArray[np.uint8], offsets: NDArray[np.int64], name: EvalSplit
) -> NDArray[np.int64]:
    """Indexes of a split's events, first events of a user left out."""
    chosen = split == SPLIT_CODES[name]
    chosen[offsets[:-1]] = False
    return np.flatnonzero(chosen)


def _check_file(file: Path, digest: str) -> None:
    if not file.is_file():
        raise DataError(f"{file}: missing from the prepared data; prepare it again")
    if sha256_file(file) != digest:
        raise DataError(
            f"{file}: does not have the SHA-256 that {META} states: altered; remove {META} and "
            f"prepare it again (finished runs are kept)"
        )


def _read_meta(path: Path) -> dict[str, Any]:
    file = path / META
    if not file.is_file():
        raise DataError(f"{path}: holds no prepared data ({META} is missing); prepare it first")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: not valid JSON: {error}; prepare it again") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise DataError(f"{file}: not of format {FORMAT}; prepare it again")
    return raw
