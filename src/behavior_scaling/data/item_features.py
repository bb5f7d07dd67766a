"""The features of a catalogue: from canonical items to the arrays that models read.

Two passes over the items, a slice at a time: the first checks and measures (item_measure.py), the
second writes tokens and numbers. Memory holds a slice, the hashes of distinct tokens, one column's
numbers and, for a column of vectors, 17 bytes an item; arrays grow on disk.

Choices: whole tokens first, in the schema's order of columns, then the runs of letters of rare
words (item_tokens.py); which words are rare follows from the items that have training events alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.hash_set import HashSet
from behavior_scaling.data.item_columns import column_codes, number_codes
from behavior_scaling.data.item_measure import Batches, Measured, Slice, measure, slices
from behavior_scaling.data.item_tokens import (
    Entries,
    Tokens,
    letter_tokens,
    merged,
    number_tokens,
    vector_tokens,
    word_tokens,
    words_of,
)
from behavior_scaling.data.item_values import Numbers, Strings
from behavior_scaling.data.npy import NpyWriter
from behavior_scaling.data.tables import FeatureSchema


@dataclass(frozen=True)
class ItemFacts:
    """What the features of a catalogue are."""

    vocabulary: dict[str, float]  # see _Vocabulary.facts
    missing: dict[str, float]  # share of the items without a value, by column
    digest: str  # SHA-256 of ids and canonical values, in hexadecimal


def write_item_features(
    batches: Batches,
    schema: FeatureSchema,
    trained: NDArray[np.bool_],
    out: Path,
    *,
    tokens: int,
    codebook: int,
    bins: int,
    subwords: int,
) -> ItemFacts:
    """Write codes, weights, column_of_token, numbers, number_codes and the vectors as .npy files.

    Args:
        batches: gives the items, item_id and the schema's columns, in the catalogue's order;
            called twice.
        schema: kinds of the columns, first the ones to keep where T is short.
        trained: items that have training events [V].
        out: a folder that exists.
        tokens: T.
        codebook: number of codes; those of vectors lie above (item_vectors.py).
        bins: knots of a numeric column (fewer where quantiles coincide).
        subwords: letters of the runs that stand for rare words; 0: words only.

    Raises:
        DataError: a column is missing, or a value cannot be used; the message names the row.
    """
    n_vectors = sum(kind == "vector" for _, kind in schema.columns)
    if codebook + n_vectors * len(trained) > np.iinfo(np.int32).max:
        raise DataError(
            f"{n_vectors} columns of vectors for {len(trained):,} items need more than 2^31 codes; "
            f"join some of them into one column"
        )
    measured = measure(batches, schema, trained, out, bins=bins, subwords=subwords)
    vocabulary = _Vocabulary(codebook)
    numeric = list(measured.knots)
    of_column = column_codes(schema, codebook)
    np.save(out / "number_codes.npy", number_codes(numeric, codebook))
    with ExitStack() as files:
        codes, weights, columns, numbers = (
            files.enter_context(NpyWriter(out / f"{name}.npy", dtype, width))
            for name, dtype, width in (
                ("codes", "<i4", tokens),
                ("weights", "<f4", tokens),
                ("column_of_token", "<i4", tokens),
                ("numbers", "<f4", len(numeric)),
            )
        )
        for part in slices(batches, schema):
            rows = len(part.ids)
            found = merged(
                list(_entries(part, schema, measured, len(trained), codebook, subwords)),
                rows,
                tokens,
                codebook,
            )
            codes.append(found.codes)
            weights.append(found.weights)
            columns.append(of_column[found.columns])
            numbers.append(_standardised(part, measured, rows))
            vocabulary.add(found, tokens)
    return ItemFacts(vocabulary.facts(), measured.missing, measured.digest)


def _entries(
    part: Slice,
    schema: FeatureSchema,
    measured: Measured,
    n_items: int,
    codebook: int,
    subwords: int,
) -> Iterator[Entries]:
    """Tokens of a slice by priority."""
    last = []
    n_vectors = 0
    for number, (name, kind) in enumerate(schema.columns):
        values = part.columns[name]
        if isinstance(values, Numbers):
            yield from number_tokens(name, number, values, measured.knots[name])
        elif isinstance(values, Strings):
            found = words_of(name, values, text=kind == "text")
            yield from word_tokens(name, number, found)
            if kind == "text" and subwords:
                last.append(letter_tokens(name, number, found, measured.common, subwords))
        else:
            owners = measured.owners[name][part.items]
            above = codebook + n_vectors * n_items
            yield from vector_tokens(name, number, np.where(owners < 0, -1, above + owners))
            n_vectors += 1
    yield from last


def _standardised(part: Slice, measured: Measured, rows: int) -> NDArray[np.float64]:
    """Standardised numbers of a slice [n, numeric columns]."""
    columns = [
        measured.standards[name](values.values)
        for name, values in part.columns.items()
        if isinstance(values, Numbers)
    ]
    return np.array(columns).reshape(len(columns), rows).T


class _Vocabulary:
    """Counts the tokens that were kept; those of vectors are not hashed and not counted."""

    def __init__(self, codebook: int) -> None:
        self._codebook = codebook
        self._seen = HashSet()
        self._items = self._tokens = self._cut = 0

    def add(self, found: Tokens, tokens: int) -> None:
        self._seen.add(np.unique(found.hashed))
        self._items += len(found.lengths)
        self._tokens += int(np.minimum(found.lengths, tokens).sum())
        self._cut += int((found.lengths > tokens).sum())

    def facts(self) -> dict[str, float]:
        """Distinct tokens and codes (fewer where hashes collide), tokens an item, items cut."""
        seen = self._seen.all()
        used = np.zeros(self._codebook, dtype=bool)
        used[seen % np.uint64(self._codebook)] = True
        return {
            "tokens": len(seen),
            "codes": int(used.sum()),
            "tokens_per_item": self._tokens / self._items,
            "cut_items": self._cut,
        }
