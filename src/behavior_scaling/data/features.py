"""Items to feature tokens: for every item at most T codes of a fixed codebook, with weights.

Choices: a token is the text "column=value", its code a stable hash of it modulo the codebook, so
there is no vocabulary to fit and an unseen item costs nothing; a number lies between two
neighbouring knots (quantiles over the items that have training events) and becomes both, with
weights 1 - f and f; a missing value is a token of its own; a token that an item repeats is kept
once, its weight the number of times; what exceeds T is cut from the end of the schema's order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from behavior_scaling.data.events import FeatureSchema, Kind

_WORD = re.compile(r"\w+")
Weighted = list[tuple[str, float]]


@dataclass(frozen=True)
class Tokens:
    """Feature tokens of the catalogue."""

    codes: NDArray[np.int32]  # [V, T] padding 0
    weights: NDArray[np.float32]  # [V, T] padding 0; a token's weight is above 0
    columns: NDArray[np.int32]  # [V, T] number of its column in the schema; padding -1
    vocabulary: dict[str, float]  # tokens, codes (distinct), tokens_per_item, cut_items


def feature_tokens(
    items: pd.DataFrame,
    schema: FeatureSchema,
    trained: NDArray[np.bool_],
    *,
    tokens: int,
    codebook: int,
    bins: int,
) -> Tokens:
    """Turn checked items into codes and weights.

    Args:
        items: canonical items, one row a catalogue index [V].
        schema: kinds of the columns, first the ones to keep where T is short.
        trained: items that have training events [V]; only their numbers place the knots.
        tokens: T.
        codebook: number of codes.
        bins: knots of a numeric column (fewer where quantiles coincide).
    """
    columns = [
        _column(name, kind, items[name].tolist(), trained, bins) for name, kind in schema.columns
    ]
    codes = np.zeros((len(items), tokens), dtype=np.int32)
    weights = np.zeros((len(items), tokens), dtype=np.float32)
    sources = np.full((len(items), tokens), -1, dtype=np.int32)
    known: dict[str, int] = {}
    lengths = np.zeros(len(items), dtype=np.int64)
    for item in range(len(items)):
        merged: dict[str, float] = {}
        source: list[int] = []
        for number, column in enumerate(columns):
            for token, weight in column[item]:
                merged[token] = merged.get(token, 0.0) + weight
            source += [number] * (len(merged) - len(source))
        lengths[item] = len(merged)
        sources[item, : len(source)] = source[:tokens]
        for place, (token, weight) in enumerate(list(merged.items())[:tokens]):
            if token not in known:
                known[token] = code_of(token, codebook)
            codes[item, place] = known[token]
            weights[item, place] = weight
    return Tokens(
        codes,
        weights,
        sources,
        {
            "tokens": len(known),
            "codes": len(set(known.values())),
            "tokens_per_item": float(np.minimum(lengths, tokens).mean()),
            "cut_items": int((lengths > tokens).sum()),
        },
    )


def code_of(token: str, codebook: int) -> int:
    """The codebook's row of a token: the first 8 bytes of its BLAKE2b, modulo the codebook."""
    digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % codebook


def knots_of(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Distinct quantiles of the finite values, at most `bins`, from the least to the greatest."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.empty(0)
    return np.unique(np.quantile(finite, np.linspace(0, 1, bins)))


def _column(
    name: str, kind: Kind, values: Sequence[Any], trained: NDArray[np.bool_], bins: int
) -> list[Weighted]:
    """Weighted tokens of one column, for every item."""
    if kind == "numeric":
        numbers = np.array(values, dtype=np.float64)
        knots = knots_of(numbers[trained], bins)
        return [_between(name, number, knots) for number in numbers.tolist()]
    return [[(f"{name}={part}", 1.0) for part in _parts(value, kind)] for value in values]


def _parts(value: Any, kind: Kind) -> Sequence[str]:
    """Values that a cell holds; the token of a missing one if it holds none."""
    if value is None:
        return ["<missing>"]
    if kind == "multi":
        return list(value)
    if kind == "text":
        return _WORD.findall(value.lower()) or ["<missing>"]
    return [value]


def _between(name: str, number: float, knots: NDArray[np.float64]) -> Weighted:
    """The two knots around a number, the nearer one with the greater weight."""
    if np.isnan(number) or not len(knots):
        return [(f"{name}=<missing>", 1.0)]
    if len(knots) == 1:
        return [(f"{name}=bin 0", 1.0)]
    low = int(np.clip(np.searchsorted(knots, number, side="right") - 1, 0, len(knots) - 2))
    share = float(np.clip((number - knots[low]) / (knots[low + 1] - knots[low]), 0, 1))
    pair = [(f"{name}=bin {low}", 1 - share), (f"{name}=bin {low + 1}", share)]
    return [(token, weight) for token, weight in pair if weight > 0]
