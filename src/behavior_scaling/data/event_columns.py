"""Event features of a prepared data set, as levels, and the tables that say what a level is.

Choices: files of their own beside the data set's arrays, like those of the items' columns; the
features of an event lie side by side, so that reading one event touches one page; a level is read
as a row of the stacked tables, so that one gather serves features of any kind. Columns are written
for every feature that the data have; a run chooses among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError

FILES = {  # field -> file, dtype, dimensions
    "levels": ("event_levels", "<u2", 2),
    "offsets": ("event_offsets", "<i8", 1),
    "codes": ("event_codes", "<i4", 2),
    "weights": ("event_weights", "<f4", 2),
}


@dataclass(frozen=True)
class EventColumns:
    """Event features of a data set; E events, F features, S levels of all features together."""

    levels: NDArray[np.uint16]  # [E, F] level of each event by feature
    offsets: NDArray[np.int64]  # [F + 1] feature f's levels are rows offsets[f]:offsets[f + 1]
    codes: NDArray[np.int32]  # [S, 2] rows of the codebook; padding of weight 0
    weights: NDArray[np.float32]  # [S, 2]
    names: tuple[str, ...]


class EventReader:
    """Reads chosen features of events as rows of the stacked tables.

    Args:
        columns: of the data set.
        chosen: names of F' features, at least one; their order is that of the rows.

    Raises:
        DataError: a name that these data do not have.
    """

    def __init__(self, columns: EventColumns, chosen: Sequence[str]):
        for name in chosen:
            if name not in columns.names:
                raise DataError(
                    f"event feature {name!r}: these data have {', '.join(columns.names)}; "
                    f"correct contextualizer.event_features"
                )
        self._levels = columns.levels
        self._places = np.array([columns.names.index(name) for name in chosen])
        self._first = columns.offsets[self._places]

    def __call__(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of some events by feature.

        Args:
            event: [...] indexes among the data set's events; negative where padded.

        Returns:
            int64 [..., F']; 0, a row that means nothing there, where padded.
        """
        rows = self._first + self._levels[event][..., self._places]
        rows[event < 0] = 0
        return np.asarray(rows)


def open_event_columns(folder: Path, names: Sequence[str]) -> EventColumns:
    """Read the event features of a prepared folder through memory maps.

    Args:
        folder: the prepared data.
        names: of the features, as meta.json has them.

    Raises:
        DataError: a file is missing or is not of the shape that the others ask for.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for field, (name, dtype, dimensions) in FILES.items():
        file = folder / f"{name}.npy"
        if not file.is_file():
            raise DataError(f"{file}: missing from the prepared data; prepare it again")
        try:
            mapped = np.load(file, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{file}: no readable array: {error}") from None
        if mapped.dtype.str != dtype or mapped.ndim != dimensions:
            raise DataError(
                f"{file}: is {mapped.dtype.str} of {mapped.ndim} dimensions, not {dtype} of "
                f"{dimensions}; prepare it again"
            )
        arrays[field] = np.asarray(mapped)
    columns = EventColumns(**arrays, names=tuple(names))
    features, rows = len(columns.names), int(columns.offsets[-1])
    wanted = {"levels": features, "offsets": features + 1, "codes": rows, "weights": rows}
    for field, size in wanted.items():
        shape = arrays[field].shape
        if shape[-1 if field == "levels" else 0] != size:
            raise DataError(
                f"{folder / FILES[field][0]}.npy: has shape {shape}, but {size} rows or columns "
                f"belong to the features {', '.join(columns.names)}; prepare it again"
            )
    return columns
