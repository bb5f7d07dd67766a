"""Item features of a few rows, as preparation writes them: arrays by file name, and the facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from behavior_scaling.data.item_features import ItemFacts, write_item_features
from behavior_scaling.data.tables import FeatureSchema

CODEBOOK = 2**20


@dataclass(frozen=True)
class Made:
    """What was written."""

    folder: Path
    facts: ItemFacts

    def __getitem__(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy")

    def item(self, index: int) -> list[tuple[int, float]]:
        """Codes and weights of an item, padding left out."""
        codes, weights = self["codes"][index], self["weights"][index]
        kept = weights > 0
        assert not codes[~kept].any()
        return list(zip(codes[kept].tolist(), weights[kept].tolist(), strict=True))


def token(text: str, codebook: int = CODEBOOK) -> int:
    """The code of a token, from hashlib alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % codebook


def write(
    folder: Path,
    columns: Mapping[str, Sequence[Any] | pa.Array],
    kinds: Mapping[str, str],
    *,
    trained: Sequence[bool] | None = None,
    rows: int = 1000,
    tokens: int = 6,
    codebook: int = CODEBOOK,
    bins: int = 3,
    subwords: int = 0,
) -> Made:
    """Write the features of items 0..n-1 (or of the ids given), in batches of `rows`."""
    n = len(next(iter(columns.values())))
    ids = columns.get("item_id", list(range(n)))
    table = pa.table({**columns, "item_id": ids})

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, n, rows):
            yield from table.slice(start, rows).combine_chunks().to_batches()

    folder.mkdir(parents=True, exist_ok=True)
    facts = write_item_features(
        batches,
        FeatureSchema(tuple(kinds.items())),  # type: ignore[arg-type]
        np.ones(n, dtype=bool) if trained is None else np.array(trained, dtype=bool),
        folder,
        tokens=tokens,
        codebook=codebook,
        bins=bins,
        subwords=subwords,
    )
    return Made(folder, facts)
