"""Columns of tokens and standardised numbers: by hand, from train items only, and old data."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import FeatureSchema, Tables, check_items
from behavior_scaling.data.features import code_of, feature_tokens
from behavior_scaling.data.item_columns import ItemColumns, item_columns
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset

SCHEMA = FeatureSchema(
    (("brand", "categorical"), ("price", "numeric"), ("tags", "multi"), ("flat", "numeric"))
)
CODEBOOK = 4096


def _items() -> pd.DataFrame:
    """Five items; the last two have no training events, and prices beyond the others'."""
    return pd.DataFrame(
        {
            "item_id": range(5),
            "brand": ["a", None, "a", "b", "c"],
            "price": [1.0, 3.0, np.nan, 100.0, -7.0],
            "tags": [["x", "x"], ["y", "z"], None, ["x"], ["a"]],
            "flat": [2.0, 2.0, 2.0, 5.0, np.nan],
        }
    )


def _columns(tokens: int) -> tuple[ItemColumns, np.ndarray]:
    items = check_items(_items(), SCHEMA, "items")
    trained = np.array([True, True, True, False, False])
    made = feature_tokens(items, SCHEMA, trained, tokens=tokens, codebook=CODEBOOK, bins=4)
    return item_columns(items, SCHEMA, trained, made, CODEBOOK), made.codes


def test_every_token_knows_its_column() -> None:
    """Bins of numbers and padding have none; a repeated tag is one token."""
    brand, tags = code_of("column brand", CODEBOOK), code_of("column tags", CODEBOOK)
    found, codes = _columns(8)
    assert found.column_of_token[0].tolist() == [brand, -1, tags, -1, -1, -1, -1, -1]
    assert found.column_of_token[1].tolist() == [brand, -1, tags, tags, -1, -1, -1, -1]
    assert codes[1, 2:4].tolist() == [code_of(f"tags={t}", CODEBOOK) for t in "yz"]
    cut, _ = _columns(3)
    assert cut.column_of_token.tolist() == found.column_of_token[:, :3].tolist()


def test_numbers_are_standardised_by_train_items_alone() -> None:
    """Mean 2 and deviation 1 of prices 1 and 3; what lies beyond is clipped, missing stays NaN."""
    found, _ = _columns(8)
    np.testing.assert_allclose(found.numbers[:, 0], [-1, 1, np.nan, 1, -1])
    np.testing.assert_allclose(found.numbers[:, 1], [0, 0, 0, 0, np.nan])
    wanted = [
        [code_of(f"{w} of {n}", CODEBOOK) for w in ("number", "absence")] for n in ("price", "flat")
    ]
    assert found.number_codes.tolist() == wanted


def _dataset(folder, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    events = pd.DataFrame(
        {
            "user_id": np.repeat(range(8), 10),
            "item_id": rng.integers(0, 5, 80),
            "timestamp": range(80),
        }
    )
    config = DataConfig(source="tiny", tokens=6)
    return prepare_tables(Tables(events, _items(), SCHEMA), config, folder)


def test_a_prepared_folder_holds_them(tmp_path) -> None:
    """Written, hashed, and refused when altered."""
    dataset = _dataset(tmp_path / "data")
    columns = dataset.item_columns()
    assert columns.column_of_token.shape == dataset.codes.shape
    assert columns.numbers.shape == (5, 2)
    file = tmp_path / "data" / "numbers.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError, match=r"numbers.npy: does not have the SHA-256"):
        Dataset.open(tmp_path / "data", verify=True)


def test_data_prepared_before_stay_readable(tmp_path) -> None:
    """All else opens; only who asks for columns is told to prepare again."""
    dataset = _dataset(tmp_path / "data")
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "data", old)
    text = (old / "meta.json").read_text().splitlines(keepends=True)
    for name in ("column_of_token", "numbers", "number_codes"):
        (old / f"{name}.npy").unlink()
        text = [line for line in text if f'"{name}.npy"' not in line]
    (old / "meta.json").write_text("".join(text))
    opened = Dataset.open(old, verify=True)
    assert opened.data_spec() == dataset.data_spec()
    with pytest.raises(DataError, match=r"column_of_token.npy: missing.*remove .*old and prepare"):
        opened.item_columns()
