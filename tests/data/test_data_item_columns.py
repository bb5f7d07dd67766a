"""Columns of tokens and standardised numbers: by hand, from train items only, robust, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_columns import Standard
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables

from .item_arrays import Made, token, write

KINDS = {"brand": "categorical", "price": "numeric", "tags": "multi", "flat": "numeric"}
CODEBOOK = 4096
# Five items; the last two have no training events, and prices beyond the others'.
COLUMNS: dict[str, list[Any]] = {
    "brand": ["a", None, "a", "b", "c"],
    "price": [1.0, 3.0, np.nan, 100.0, -7.0],
    "tags": [["x", "x"], ["y", "z"], None, ["x"], ["a"]],
    "flat": [2.0, 2.0, 2.0, 5.0, np.nan],
}


def _made(folder: Path, tokens: int) -> Made:
    trained = [True, True, True, False, False]
    return write(folder, COLUMNS, KINDS, trained=trained, tokens=tokens, codebook=CODEBOOK, bins=4)


def test_every_token_knows_its_column(tmp_path: Path) -> None:
    """Bins of numbers and padding have none; a repeated tag is one token."""
    brand, tags = (token(f"column {name}", CODEBOOK) for name in ("brand", "tags"))
    made = _made(tmp_path / "8", 8)
    found = made["column_of_token"]
    assert found[0].tolist() == [brand, -1, tags, -1, -1, -1, -1, -1]
    assert found[1].tolist() == [brand, -1, tags, tags, -1, -1, -1, -1]
    assert made["codes"][1, 2:4].tolist() == [token(f"tags={t}", CODEBOOK) for t in "yz"]
    cut = _made(tmp_path / "3", 3)["column_of_token"]
    assert cut.tolist() == found[:, :3].tolist()


def test_letters_of_a_word_are_of_its_column(tmp_path: Path) -> None:
    made = write(tmp_path, {"title": ["lamp"]}, {"title": "text"}, tokens=5, subwords=4)
    title = token("column title")
    assert made["column_of_token"].tolist() == [[title] * 4 + [-1]]


def test_numbers_are_standardised_by_train_items_alone(tmp_path: Path) -> None:
    """Mean 2 and deviation 1 of prices 1 and 3; what lies beyond is clipped, missing stays NaN."""
    made = _made(tmp_path, 8)
    np.testing.assert_allclose(made["numbers"][:, 0], [-1, 1, np.nan, 1, -1])
    np.testing.assert_allclose(made["numbers"][:, 1], [0, 0, 0, 0, np.nan])
    wanted = [
        [token(f"{w} of {n}", CODEBOOK) for w in ("number", "absence")] for n in ("price", "flat")
    ]
    assert made["number_codes"].tolist() == wanted


def test_an_outlier_does_not_press_the_others_together() -> None:
    """0..99 and 1e30: quartiles 25 and 75, so the outlier counts as 75 + 10 · 50 = 575."""
    known = np.array([*range(100), 1e30])
    standard = Standard.of(known)
    clipped = np.array([*range(100), 575.0])
    np.testing.assert_allclose(standard(known), (clipped - clipped.mean()) / clipped.std())
    assert np.ptp(standard(known[:100])) > 1


def test_a_column_of_mostly_one_value_keeps_its_others() -> None:
    """Where the quartiles coincide wider quantiles set the fence: here 10% and 90% are 0 and 1."""
    known = np.array([0.0] * 80 + [1.0] * 19 + [1e30])
    standard = Standard.of(known)
    assert (standard.low, standard.high) == (0.0, 11.0)
    assert Standard.of(np.array([0.0] * 999 + [5.0])).high == 5.0, "and at last the range"


def _dataset(folder: Path) -> Dataset:
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "user_id": np.repeat(range(8), 10),
            "item_id": rng.integers(0, 5, 80),
            "timestamp": range(80),
        }
    )
    items = pd.DataFrame({"item_id": range(5), **COLUMNS})
    config = DataConfig(source="tiny", tokens=6, least_targets=0)
    schema = FeatureSchema(tuple(KINDS.items()))  # type: ignore[arg-type]
    return prepare_tables(Tables(events, items, schema), config, folder)


def test_a_prepared_folder_holds_them(tmp_path: Path) -> None:
    """Written, hashed, and refused when altered or absent."""
    dataset = _dataset(tmp_path / "data")
    columns = dataset.item_columns()
    assert columns.column_of_token.shape == dataset.codes.shape
    assert columns.numbers.shape == (5, 2)
    file = tmp_path / "data" / "numbers.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError, match=r"numbers.npy: does not have the SHA-256"):
        Dataset.open(tmp_path / "data", verify=True)
    file.unlink()
    with pytest.raises(DataError, match=r"numbers.npy: missing from the prepared data"):
        dataset.item_columns()
