"""The first pass over a catalogue: checks its values, and measures the items that train.

Choices: nothing that is measured (knots of numbers, counts of words, scale of vectors) sees an item
without training events; a word counts once for every item that carries it. Batches are cut into
slices of a bounded size, so that memory does not depend on the source's batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.features import knots_of
from behavior_scaling.data.hash_set import HashSet
from behavior_scaling.data.item_columns import Standard
from behavior_scaling.data.item_digest import ItemDigest
from behavior_scaling.data.item_tokens import words_of
from behavior_scaling.data.item_values import Numbers, Place, Values, Vectors, canonical
from behavior_scaling.data.item_vectors import SCALES
from behavior_scaling.data.tables import FeatureSchema, ItemKind
from behavior_scaling.data.vector_column import VectorColumn

COMMON = 2  # items that train and carry a word, from which on it needs no runs of letters
SLICE_ROWS = 65_536
SLICE_BYTES = 1 << 24

Batches = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Slice:
    """Some items of the catalogue, their values in canonical form."""

    items: slice  # of the catalogue
    ids: pa.Array
    columns: dict[str, Values]  # in the schema's order


@dataclass(frozen=True)
class Measured:
    """What the first pass learnt."""

    missing: dict[str, float]  # share of the items without a value, by column
    digest: str
    knots: dict[str, NDArray[np.float64]]  # of numeric columns
    standards: dict[str, Standard]  # of numeric columns
    owners: dict[str, NDArray[np.int64]]  # item whose vector is each item's [V]; -1: none
    common: HashSet  # tokens of the words that COMMON items carry


def slices(batches: Batches, schema: FeatureSchema) -> Iterator[Slice]:
    """All items, a bounded number at a time.

    Raises:
        DataError: a column is missing, or a value cannot be used; the message names the row.
    """
    done = 0
    for batch in batches():
        rows = min(SLICE_ROWS, max(1, SLICE_BYTES * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            ids = _column(part, "item_id")
            columns = {
                name: canonical(_column(part, name), kind, Place(name, done, ids))
                for name, kind in schema.columns
            }
            yield Slice(slice(done, done + part.num_rows), ids, columns)
            done += part.num_rows


def measure(
    batches: Batches,
    schema: FeatureSchema,
    trained: NDArray[np.bool_],
    out: Path,
    *,
    bins: int,
    subwords: int,
) -> Measured:
    """Check and measure; write vectors_k.npy and vector_scales.npy. As write_item_features."""
    digest = ItemDigest(schema)
    lacking = dict.fromkeys((name for name, _ in schema.columns), 0)
    kinds: dict[str, ItemKind] = dict(schema.columns)
    common = HashSet(COMMON)
    done = 0
    with ExitStack() as files:
        numbers = {
            name: files.enter_context(tempfile.TemporaryFile(dir=out))
            for name in _of_kind(schema, "numeric")
        }
        vectors = {
            name: VectorColumn(out / f"vectors_{number}.npy", name, len(trained), files)
            for number, name in enumerate(_of_kind(schema, "vector"))
        }
        for part in slices(batches, schema):
            mine = trained[part.items]
            done = part.items.stop
            digest.add_ids(part.ids)
            for name, values in part.columns.items():
                digest.add(name, values)
                lacking[name] += int(values.missing.sum())
                if isinstance(values, Numbers):
                    numbers[name].write(values.values[mine & ~values.missing].tobytes())
                elif isinstance(values, Vectors):
                    vectors[name].add(values, mine)
                elif kinds[name] == "text" and subwords:
                    common.add(words_of(name, values, text=True).keys_by_item(mine))
        if done != len(trained):
            raise ValueError(f"{len(trained)} items were announced, {done} were given")
        if vectors:
            np.save(out / SCALES, np.array([column.scale() for column in vectors.values()]))
        knots, standards = {}, {}
        for name, file in numbers.items():
            known = _read(file)
            knots[name], standards[name] = knots_of(known, bins), Standard.of(known)
    return Measured(
        missing={name: count / done for name, count in lacking.items()},
        digest=digest.hexdigest(),
        knots=knots,
        standards=standards,
        owners={name: column.owners(trained) for name, column in vectors.items()},
        common=common,
    )


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        raise DataError(f"column {name!r} is missing; there are {batch.schema.names}")
    return batch.column(name)


def _of_kind(schema: FeatureSchema, kind: ItemKind) -> list[str]:
    return [name for name, of_column in schema.columns if of_column == kind]


def _read(file: IO[bytes]) -> NDArray[np.float64]:
    file.seek(0)
    return np.frombuffer(file.read(), dtype=np.float64)
