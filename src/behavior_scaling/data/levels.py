"""Event features of the sorted events become levels on disk, fitted on training events alone.

Choices: numbers are fitted on at most SAMPLE training events, evenly spread over all of them, so
that memory does not grow with the data; categories are counted over all training events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.event_levels import GAP, EventLevels
from behavior_scaling.data.npy import NpyWriter, pieces
from behavior_scaling.data.sequence import Sequences
from behavior_scaling.data.store import TRAIN
from behavior_scaling.data.store_write import save
from behavior_scaling.data.tables import EventKind

SAMPLE = 1_000_000

Columns = dict[str, NDArray[Any]]


def write_event_levels(
    features: tuple[tuple[str, EventKind], ...],
    sequences: Sequences,
    codebook: int,
    folder: Path,
    scratch: Path,
) -> list[str]:
    """Write event_levels.npy and the tables of the levels; returns the features' names.

    Args:
        features: the source's event features and their kinds.
        sequences: of the events.
        codebook: number of codes.
        folder: holds times.npy and split.npy.
        scratch: holds the raw event features.
    """
    samples = _samples(features, sequences, folder, scratch)
    fitted = EventLevels.fit(features, samples, codebook)
    words = {
        name: np.array([*known.number, None], dtype=object)
        for name, known in sequences.words.items()
    }
    with NpyWriter(folder / "event_levels.npy", "<u2", len(fitted.names)) as writer:
        for times, gaps, _, raw in _pieces(features, sequences.offsets, folder, scratch):
            named = {name: words[name][raw[name]] if name in words else raw[name] for name in raw}
            writer.append(fitted.levels(times, gaps, named))
    save(
        folder,
        event_offsets=fitted.offsets,
        event_codes=fitted.codes,
        event_weights=fitted.weights,
    )
    return list(fitted.names)


def _samples(
    features: tuple[tuple[str, EventKind], ...], sequences: Sequences, folder: Path, scratch: Path
) -> Mapping[str, NDArray[np.float64] | Mapping[str, int]]:
    """Train values: an evenly spread sample of numbers, counts of categories."""
    trained = sum(int((piece == TRAIN).sum()) for piece in pieces(folder / "split.npy"))
    step = max(1, -(-trained // SAMPLE))
    numbers: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in (GAP, *(name for name, kind in features if kind == "numeric"))
    }
    counts = {name: np.zeros(len(w.number), np.int64) for name, w in sequences.words.items()}
    seen = 0
    for _, gaps, split, raw in _pieces(features, sequences.offsets, folder, scratch):
        chosen = np.flatnonzero(split == TRAIN)
        for name in counts:
            known = raw[name][chosen]
            counts[name] += np.bincount(known[known >= 0], minlength=len(counts[name]))
        spread = chosen[-seen % step :: step]
        seen += len(chosen)
        for name, taken in numbers.items():
            taken.append((gaps if name == GAP else raw[name])[spread])
    found: dict[str, NDArray[np.float64] | Mapping[str, int]] = {
        name: np.concatenate(taken) for name, taken in numbers.items()
    }
    for name, count in counts.items():
        counted = zip(sequences.words[name].number, count.tolist(), strict=True)
        found[name] = {word: n for word, n in counted if n}
    return found


def _pieces(
    features: tuple[tuple[str, EventKind], ...],
    offsets: NDArray[np.int64],
    folder: Path,
    scratch: Path,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8], Columns]]:
    """Times, gaps since the user's event before (NaN at the first), splits, raw features."""
    files = [scratch / f"event_{number}.npy" for number in range(len(features))]
    together = zip(
        pieces(folder / "times.npy"),
        pieces(folder / "split.npy"),
        *(pieces(file) for file in files),
        strict=True,
    )
    done, last = 0, 0
    for times, split, *raw in together:
        gaps = np.diff(times, prepend=last).astype(np.float64)
        low, high = np.searchsorted(offsets, [done, done + len(times)])
        gaps[offsets[low:high] - done] = np.nan
        done, last = done + len(times), int(times[-1])
        yield times, gaps, split, dict(zip((name for name, _ in features), raw, strict=True))
