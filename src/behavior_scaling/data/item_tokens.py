"""Feature tokens of a batch of items: from values to codes and weights, at most T an item.

Choices: every distinct value of a batch is cut into words and hashed once, the rest is arithmetic
on arrays; a missing value is a token of its own; a token that an item repeats is kept once, its
weight the number of times; of more than T tokens the last are cut: whole tokens come first, in the
schema's order of columns, then the runs of letters of its rare words, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from behavior_scaling.data.features import MISSING, between, hashes, letter_runs, words
from behavior_scaling.data.hash_set import HashSet
from behavior_scaling.data.item_values import Numbers, Strings
from behavior_scaling.data.ragged import ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Entries:
    """Tokens of some items, in order of priority within an item."""

    row: Ints  # [n] place of the item in the batch
    key: NDArray[np.uint64]  # [n] the token's hash
    weight: NDArray[np.float64]  # [n]
    column: int  # number in the schema
    code: Ints | None = None  # [n] where it does not follow from the hash


@dataclass(frozen=True)
class Tokens:
    """Feature tokens of a batch of n items."""

    codes: NDArray[np.int32]  # [n, T] padding 0
    weights: NDArray[np.float32]  # [n, T] padding 0; a token's weight is above 0
    columns: NDArray[np.int32]  # [n, T] number of its column in the schema; padding -1
    hashed: NDArray[np.uint64]  # [any] hashes of the kept tokens that are hashed
    lengths: Ints  # [n] tokens of an item, what is cut included


@dataclass(frozen=True)
class Words:
    """The values, or words, of one column, each distinct one once."""

    row: Ints  # [n] item of each occurrence
    word: Ints  # [n] number of the distinct one
    distinct: Sequence[str]
    key: NDArray[np.uint64]  # of the tokens 'column=word'
    wordless: Ints  # items without one

    def keys_by_item(self, chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Keys of the chosen items' distinct words, once for every item that has one [items]."""
        mine = chosen[self.row]
        pairs = np.sort(self.row[mine] * len(self.distinct) + self.word[mine])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        keys: NDArray[np.uint64] = self.key[pairs % max(1, len(self.distinct))]
        return keys


def words_of(name: str, values: Strings, *, text: bool) -> Words:
    """Words of a column of text, or whole values of any other."""
    coded = values.values.dictionary_encode()
    number = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(values.counts)), values.counts)
    distinct: list[str] = coded.dictionary.to_pylist()
    if text:
        cut = [words(value) for value in distinct]
        lengths = np.fromiter(map(len, cut), dtype=np.int64, count=len(cut))
        flat = pa.array(chain.from_iterable(cut), pa.large_string()).dictionary_encode()
        owner, place = ragged((np.cumsum(lengths) - lengths)[number], lengths[number])
        row = row[owner]
        number = flat.indices.to_numpy(zero_copy_only=False).astype(np.int64)[place]
        distinct = flat.dictionary.to_pylist()
    wordless = np.bincount(row, minlength=len(values.counts)) == 0
    return Words(row, number, distinct, hashes(f"{name}=", distinct), np.flatnonzero(wordless))


def word_tokens(name: str, column: int, found: Words) -> Iterable[Entries]:
    """Tokens of words, or of whole values."""
    yield Entries(found.row, found.key[found.word], np.ones(len(found.row)), column)
    yield missing_tokens(name, column, found.wordless)


def letter_tokens(name: str, column: int, found: Words, common: HashSet, letters: int) -> Entries:
    """Tokens of the runs of letters of words that are not common."""
    rare = ~common.often(found.key)
    runs = [letter_runs(found.distinct[at], letters) for at in np.flatnonzero(rare).tolist()]
    lengths = np.zeros(len(rare), dtype=np.int64)
    lengths[rare] = [len(of_word) for of_word in runs]
    keys = hashes(f"{name}~", chain.from_iterable(runs))
    starts = np.cumsum(lengths) - lengths
    owner, place = ragged(starts[found.word], lengths[found.word])
    return Entries(found.row[owner], keys[place], np.ones(len(owner)), column)


def number_tokens(
    name: str, column: int, numbers: Numbers, knots: NDArray[np.float64]
) -> Iterable[Entries]:
    """Tokens of the two knots around each number; without a knot every number is missing."""
    missing = numbers.missing if len(knots) else np.ones(len(numbers.values), dtype=bool)
    if len(knots):
        rows = np.flatnonzero(~missing)
        low, share = between(numbers.values[rows], knots)
        keys = hashes(f"{name}=bin ", map(str, range(len(knots))))
        yield Entries(rows, keys[low], 1 - share, column)
        yield Entries(rows, keys[np.minimum(low + 1, len(knots) - 1)], share, column)
    yield missing_tokens(name, column, np.flatnonzero(missing))


def vector_tokens(name: str, column: int, codes: Ints) -> Iterable[Entries]:
    """One token of each item that has a vector, of the given code; -1: it has none."""
    rows = np.flatnonzero(codes >= 0)
    key = np.repeat(hashes(f"{name}=<vector>", [""]), len(rows))
    yield Entries(rows, key, np.ones(len(rows)), column, codes[rows])
    yield missing_tokens(name, column, np.flatnonzero(codes < 0))


def missing_tokens(name: str, column: int, rows: Ints) -> Entries:
    """The token of a missing value."""
    key = np.repeat(hashes(f"{name}=", [MISSING]), len(rows))
    return Entries(rows, key, np.ones(len(rows)), column)


def merged(parts: Sequence[Entries], rows: int, tokens: int, codebook: int) -> Tokens:
    """Lay the tokens of `rows` items out, those of earlier parts first, repeats added up."""
    row = np.concatenate([part.row for part in parts])
    key = np.concatenate([part.key for part in parts])
    weight = np.concatenate([part.weight for part in parts]).astype(np.float32)
    column = np.concatenate([np.full(len(part.row), part.column) for part in parts])
    is_hashed = np.concatenate([np.full(len(part.row), part.code is None) for part in parts])
    code = np.concatenate(
        [
            (part.key % np.uint64(codebook)).astype(np.int64) if part.code is None else part.code
            for part in parts
        ]
    )
    order = np.lexsort((key, row))
    order = order[weight[order] > 0]  # a number at a knot has no part in the other one
    new = np.ones(len(order), dtype=bool)
    new[1:] = (row[order][1:] != row[order][:-1]) | (key[order][1:] != key[order][:-1])
    starts = np.flatnonzero(new)
    first = order[starts]  # of equal tokens the one of highest priority
    total = np.add.reduceat(weight[order], starts) if len(starts) else weight[:0]
    back = np.lexsort((first, row[first]))
    first, total = first[back], total[back]
    owner = row[first]
    lengths = np.bincount(owner, minlength=rows)
    rank = np.arange(len(first)) - (np.cumsum(lengths) - lengths)[owner]
    kept = rank < tokens
    first, at = first[kept], (owner[kept], rank[kept])
    codes = np.zeros((rows, tokens), dtype=np.int32)
    weights = np.zeros((rows, tokens), dtype=np.float32)
    columns = np.full((rows, tokens), -1, dtype=np.int32)
    codes[at], weights[at], columns[at] = code[first], total[kept], column[first]
    return Tokens(codes, weights, columns, key[first][is_hashed[first]], lengths)
