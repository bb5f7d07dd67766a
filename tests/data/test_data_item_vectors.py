"""Precomputed vectors: what is stored, their token, their scale, missing and equal ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_vectors import open_item_vectors
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.tables import FeatureSchema, Tables

from .item_arrays import CODEBOOK, token, write

# Six items, the first and the last two without training events.
IMAGES: list[Any] = [None, [3.0, 4.0], None, [0.0, 1.0], [9.0, 9.0], [3.0, 4.0]]
SOUNDS: list[Any] = [[1, 1, 1], [2, 0, 0], [2, 0, 0], None, [2, 0, 0], [1, 1, 1]]
COLUMNS = {"image": IMAGES, "brand": list("abcabc"), "sound": SOUNDS}
KINDS = {"image": "vector", "brand": "categorical", "sound": "vector"}
TRAINED = [False, True, True, True, False, False]


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_arrays_by_hand(tmp_path: Path, rows: int) -> None:
    """Rows of zeros where missing; the root mean square norm of those that train."""
    write(tmp_path, COLUMNS, KINDS, trained=TRAINED, rows=rows)
    image, sound = open_item_vectors(tmp_path, ["image", "sound"])
    assert (image.name, sound.name) == ("image", "sound")
    assert isinstance(image.array, np.memmap)
    assert image.array.dtype == sound.array.dtype == np.float32
    assert image.array.tolist() == [vector or [0, 0] for vector in IMAGES]
    assert sound.array.tolist() == [vector or [0, 0, 0] for vector in SOUNDS]
    assert image.scale == pytest.approx(((25 + 1) / 2) ** 0.5)
    assert sound.scale == pytest.approx(2)


def test_codes_by_hand(tmp_path: Path) -> None:
    """Above the codebook, by column and item; of equal vectors the first training item's."""
    made = write(tmp_path, COLUMNS, KINDS, trained=TRAINED)
    image, sound = CODEBOOK, CODEBOOK + 6
    no_image, no_sound = token("image=<missing>"), token("sound=<missing>")
    assert [made.item(row)[0] for row in range(6)] == [
        (code, 1) for code in (no_image, image + 1, no_image, image + 3, image + 4, image + 1)
    ]
    assert [made.item(row)[2] for row in range(6)] == [
        (code, 1) for code in (sound, sound + 1, sound + 1, no_sound, sound + 1, sound)
    ]
    columns = [token(f"column {name}") for name in ("image", "brand", "sound")]
    assert made["column_of_token"][:, :3].tolist() == [columns] * 6
    assert made.facts.missing == pytest.approx({"image": 1 / 3, "brand": 0, "sound": 1 / 6})
    vocabulary = made.facts.vocabulary
    assert vocabulary["tokens"] == vocabulary["codes"] == 5, "three brands, two missing"
    assert vocabulary["tokens_per_item"] == 3


def test_without_a_training_vector_all_are_missing(tmp_path: Path) -> None:
    made = write(tmp_path, COLUMNS, KINDS, trained=[True] + [False] * 5)
    assert [made.item(row)[0] for row in range(6)] == [(token("image=<missing>"), 1)] * 6
    assert made.facts.missing["image"] == pytest.approx(1 / 3), "the values are there"


def test_vectors_of_zeros_have_a_scale(tmp_path: Path) -> None:
    write(tmp_path, {"x": [[0.0, -0.0]] * 2}, {"x": "vector"})
    (vectors,) = open_item_vectors(tmp_path, ["x"])
    assert vectors.scale == 1


def test_large_entries_do_not_overflow(tmp_path: Path) -> None:
    """1e30 squared is beyond float32, not beyond the scale's float64."""
    write(tmp_path, {"x": [[1e30, 0.0]]}, {"x": "vector"})
    (vectors,) = open_item_vectors(tmp_path, ["x"])
    assert vectors.scale == pytest.approx(1e30)


def test_any_type_of_list_and_number(tmp_path: Path) -> None:
    types = (pa.list_(pa.float16()), pa.large_list(pa.int8()), pa.list_(pa.float64(), 2))
    for number, kind in enumerate(types):
        write(tmp_path / str(number), {"x": pa.array([[1, 2], None], kind)}, {"x": "vector"})
        (vectors,) = open_item_vectors(tmp_path / str(number), ["x"])
        assert vectors.array.tolist() == [[1, 2], [0, 0]]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    write(tmp_path, COLUMNS, KINDS)
    (tmp_path / "vectors_1.npy").unlink()
    with pytest.raises(DataError, match=r"vectors_1.npy: missing from the prepared data"):
        open_item_vectors(tmp_path, ["image", "sound"])
    assert open_item_vectors(tmp_path, []) == ()


def test_a_prepared_data_set_gives_them(tmp_path: Path) -> None:
    """Through the engine: lists of doubles in pandas, items given out of order."""
    events = pd.DataFrame(
        {"user_id": [u for u in range(8) for _ in range(6)], "item_id": [*range(6)] * 8}
    )
    events["timestamp"] = range(48)
    items = pd.DataFrame({"item_id": range(6), "image": IMAGES, "brand": list("abcabc")})
    schema = FeatureSchema((("image", "vector"), ("brand", "categorical")))
    dataset = prepare_tables(
        Tables(events, items[::-1], schema),
        DataConfig(source="tiny", tokens=3, least_targets=0),
        tmp_path / "data",
    )
    (image,) = dataset.item_vectors()
    assert image.array.tolist() == [vector or [0, 0] for vector in IMAGES]
    assert dataset.codes[3, 0] == dataset.meta.spec.codebook + 3
    assert dataset.codes[5, 0] == dataset.codes[1, 0]
