"""Damaged, mistyped and hostile files: a clear error, bounded memory, nothing half-written."""

from __future__ import annotations

import gzip
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine, paths, view
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own import OwnTables
from behavior_scaling.data.own_config import read_description
from behavior_scaling.data.plausible import check_files
from behavior_scaling.data.prepare import prepare
from behavior_scaling.data.tables import Query
from behavior_scaling.data.validate import validate

T0 = 1_600_000_000
N = 54_321  # rows; its varint stands in the footer for rows and values and nothing else
TABLE = {"user": [1, 1, 2, 2], "item": [5, 6, 5, 6], "ts": [T0, T0 + 1, T0 + 2, T0 + 3]}
CSV = b"user,item,ts\n1,5,1600000000\n1,6,1600000001\n2,5,1600000002\n2,6,1600000003\n"


def varint(value: int) -> bytes:
    """A number as thrift's compact protocol writes it: zigzag, seven bits a byte."""
    value, out = 2 * value, b""
    while value > 127:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def claiming(file: Path, rows: int) -> None:
    """A small Parquet file whose footer claims `rows` rows."""
    ids = pa.array([1] * N)
    pq.write_table(
        pa.table({"user": ids, "item": ids, "ts": pa.array([T0] * N)}), file, compression="zstd"
    )
    whole = file.read_bytes()
    size = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - size], whole[-8 - size : -8]
    assert footer.count(varint(N)) >= 5  # the file, its row group, three columns
    footer = footer.replace(varint(N), varint(rows))
    file.write_bytes(body + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def parquet(**columns: Any) -> Callable[[Path], None]:
    return lambda file: pq.write_table(pa.table({**TABLE, **columns}), file)


def damaged(cut: slice) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        parquet()(file)
        file.write_bytes(file.read_bytes()[cut])

    return write


def page_damaged(file: Path) -> None:
    """Whole footer, data pages of noise."""
    parquet()(file)
    whole = bytearray(file.read_bytes())
    whole[4:60] = os.urandom(56)
    file.write_bytes(bytes(whole))


def renamed(file: Path) -> None:
    table = pa.table({"customer": [1, 2], "thing": [1, 2]})
    pq.write_table(table, file)


def unpacks(file: Path) -> None:
    """A column chunk of 105 MB of zeros in a few kB."""
    zeros = pa.array([b"\0" * (1 << 20)] * 100)
    table = pa.table({"user": zeros, "item": zeros, "ts": pa.array([T0] * 100)})
    pq.write_table(table, file, compression="zstd", use_dictionary=False)


TEXTS: list[tuple[str, str, bytes, str]] = [
    ("one column", "e.csv", CSV.replace(b",", b";"), "only one column: 'user;item;ts'; is the sep"),
    ("empty", "e.csv", b"", "the file is empty"),
    ("header only", "e.csv", b"user,item,ts\n", "has no rows"),
    ("short line", "e.csv", CSV + b"3,4\n", "Line: 6 .*Expected Number of Columns: 3 Found: 2"),
    ("long line", "e.csv", CSV + b"3,4," + b"9" * 10_000_000 + b"\n", "e.csv: .*Line: 6"),
    ("endless header", "e.csv", b"user," * 1_000_000, "the first line has no end"),
    ("NUL", "e.csv", CSV + b"3,4\0,1600000005\n", "byte 77 is NUL"),
    ("late NUL", "e.csv", CSV + b"3,4,5\n" * 11_000 + b"3,a\0b,5\n", "item_id: row 11005"),
    ("no UTF-8", "e.csv", CSV + b"3,\xff\xfe,1600000005\n", "e.csv: .*Line: 6 .*unicode"),
    ("UTF-16", "e.csv", CSV.decode().encode("utf-16"), "is NUL; the file is binary or UTF-16"),
    ("open quote", "e.csv", CSV + b'3,"4,1600000005\n', "e.csv: .*Line: 6 .*unterminated quote"),
    ("doubled column", "e.csv", CSV.replace(b"item", b"user"), "the header names 'user' twice"),
    ("a Parquet", "e.csv", b"PAR1" + CSV, "is a Parquet file, not what its name says"),
    ("text in time", "e.csv", CSV + b"3,4,soon\n", "row 5: 'soon' is no time in s"),
    ("null id", "e.csv", CSV + b",4,1600000005\n", "user_id: row 5: nothing is no id"),
    ("no gzip", "e.csv.gz", CSV, "is no gzip file"),
    ("half a gzip", "e.csv.gz", gzip.compress(CSV * 5000)[:-300], "e.csv.gz: .*GZIP"),
]  # fmt: skip

PARQUETS: list[tuple[str, Callable[[Path], None], str]] = [
    ("truncated", damaged(slice(0, -40)), "e.parquet: not a readable Parquet file"),
    ("headless", damaged(slice(40, None)), "column ts claims to lie outside"),
    ("random", lambda f: f.write_bytes(os.urandom(5000)) and None, "not a readable Parquet file"),
    ("noise in pages", page_damaged, "events could not be read|e.parquet"),
    ("10^9 rows", lambda f: claiming(f, 10**9), r"claims 1,000,000,000 rows in [\d.]+ kB"),
    ("negative rows", lambda f: claiming(f, (1 << 64) - 5), "claims|not a readable Parquet"),
    ("unpacks", unpacks, "claims to unpack from .* kB to 105 MB"),
    ("wrong schema", renamed, "column 'user' is missing in e.parquet; there are customer, thing"),
    ("text in time", parquet(ts=["a", "b", "c", "d"]), "row 1: 'a' is no time in s"),
    ("lists as ids", parquet(user=[[1], [2], [3], [4]]), r"ids are BIGINT\[\]"),
    ("null id", parquet(user=[1, None, 2, 2]), "user_id: row 2: nothing is no id"),
    ("no rows", lambda f: pq.write_table(pa.table(TABLE).slice(0, 0), f), "has no rows"),
    ("future", parquet(ts=[T0, T0, T0, int(time.time()) + 3 * 86_400]), "row 4: .* in the future"),
    ("1e308", parquet(price=[1.0, 2.0, 1e308, 3.0]), r"price: row 3: '1e\+308' is beyond 1e\+30"),
    ("infinite", parquet(price=[1.0, float("inf"), 2.0, 3.0]), "price: row 2: 'inf' is not finite"),
    ("huge ids", parquet(user=pa.array([1, 2, 3, 1 << 63], type=pa.uint64())), "row 4: .*64 bits"),
]


def refused(folder: Path, name: str, message: str, price: bool) -> None:
    """Neither prepared nor half-written, and named by validation too."""
    file = folder / "shop.yaml"
    body = {"files": name, "user": "user", "item": "item", "time": {"column": "ts", "unit": "s"}}
    file.write_text(
        yaml.safe_dump({"events": {**body, "features": {"price": "numeric"} if price else {}}})
    )
    config = DataConfig(source=str(file), least_targets=0, context=4, tokens=2)
    results = folder / "results"
    results.mkdir()
    with pytest.raises(DataError, match=message) as refusal:
        prepare(config, OwnTables(config).fetch(folder / "cache", None), results / "out")
    assert len(str(refusal.value)) < 700
    assert list(results.iterdir()) == []
    assert validate(read_description(file), folder, file.name, config).failed


@pytest.mark.parametrize(("name", "content", "message"), [t[1:] for t in TEXTS],
                         ids=[t[0] for t in TEXTS])  # fmt: skip
def test_text_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path, name, message, price=False)


@pytest.mark.parametrize(("write", "message"), [p[1:] for p in PARQUETS],
                         ids=[p[0] for p in PARQUETS])  # fmt: skip
def test_parquet_files(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "e.parquet")
    refused(tmp_path, "e.parquet", message, price="price" in message)


def test_a_query_over_a_file_that_claims_too_much_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "e.parquet"
    claiming(file, 10**9)
    query = Query(f"SELECT * FROM read_parquet({paths([file])})", (file,))
    with (
        engine(tmp_path) as connection,
        pytest.raises(DataError, match=r"claims 1,000,000,000 rows in [\d.]+ kB"),
    ):
        view(connection, "raw", query)


def test_what_is_plausible_passes(tmp_path: Path) -> None:
    """As many rows a byte as a table with ids can have: all sorted, all zipped."""
    n = 200_000
    item = [i * i % 7 % 2 for i in range(n)]
    table = pa.table({"user": [i // 50 for i in range(n)], "item": item, "ts": range(n)})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "b.csv").write_bytes(CSV)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(CSV * 10_000))
    check_files([tmp_path / name for name in ("a.parquet", "b.csv", "c.csv.gz")])


@pytest.mark.slow
def test_a_gzip_bomb_is_read_as_a_stream(tmp_path: Path) -> None:
    """240 MB in under 2 MB, whose repeats are counted in bounded memory."""
    block = CSV.split(b"\n", 1)[1] * 10_000
    with gzip.open(tmp_path / "e.csv.gz", "wb", compresslevel=6) as opened:
        opened.write(CSV.split(b"\n", 1)[0] + b"\n")
        for _ in range(400):
            opened.write(block)
    assert (tmp_path / "e.csv.gz").stat().st_size < 2_000_000
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump({"events": {"files": "e.csv.gz", "user": "user",
                                               "item": "item", "time": "ts"}}))  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = validate(read_description(file), tmp_path, file.name, DataConfig(source=str(file)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
    assert grown < 1_200_000
    (repeats,) = (finding for finding in found.findings if finding.check == "duplicates")
    assert repeats.count == 16_000_000 - 4
