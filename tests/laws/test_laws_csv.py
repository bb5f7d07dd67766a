"""Reading a user's table: what is wrong is named by file, column and line."""

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.csv_table import as_table, read_table


@pytest.fixture
def write(tmp_path):
    def make(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_numbers_come_as_written(write):
    table = read_table(write("N, D ,loss\r\n1e6,20000000000,3.25\r\n\r\n 2.5 ,7,\t2\n"))
    assert list(table.columns) == ["N", "D", "loss"]
    assert table.numbers("N").tolist() == [1e6, 2.5]
    assert table.numbers("D").tolist() == [2e10, 7]
    assert table.numbers("loss").tolist() == [3.25, 2]
    assert table.lines.tolist() == [2, 4]


def test_byte_order_mark_and_quotes_are_no_part_of_a_name(write):
    table = read_table(write(b'\xef\xbb\xbf"N","the loss, nats"\n1,2\n'))
    assert list(table.columns) == ["N", "the loss, nats"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("n/a", "'n/a' is not a number"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("nan", "nan is not finite"),
        ("-inf", "-inf is not finite"),
        ("1e999", "inf is not finite"),
        ("0", "0 is not positive"),
        ("-3", "-3 is not positive"),
        ("1e120", "1e+120 is beyond 1e-100 to 1e+100"),
        ("1e-120", "1e-120 is beyond 1e-100 to 1e+100"),
        ("3_000", "'3_000' is not a number"),
        ('"3,5"', "'3,5' is not a number"),
        ("True", "'True' is not a number"),
    ],
)
def test_a_bad_entry_is_named_by_column_and_line(write, entry, text):
    path = write(f"N,loss\n1,2\n\n5,{entry}\n6,2.5\n")
    with pytest.raises(LawsError) as error:
        read_table(path).numbers("loss")
    assert str(error.value) == f"{path}: column 'loss', line 4: {text}"


def test_further_bad_entries_are_counted(write):
    path = write("loss\n1\nx\ny\n0\n")
    with pytest.raises(LawsError, match=r"line 3: 'x' is not a number \(2 more rows like it\)"):
        read_table(path).numbers("loss")


def test_a_line_after_a_quoted_line_break_keeps_its_number(write):
    path = write('name,loss\n"two\nlines",1\nplain,bad\n')
    with pytest.raises(LawsError, match="line 4: 'bad'"):
        read_table(path).numbers("loss")


def test_columns_that_no_law_asks_for_may_hold_anything(write):
    assert read_table(write("id,loss\nrun a,1\n,2\n")).numbers("loss").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("N,loss\n", "a header and no rows"),
        ("N,loss,N\n1,2,3\n", "columns 1 and 3 are both named 'N'"),
        ("N,loss, N \n1,2,3\n", "columns 1 and 3 are both named 'N'"),
        ("N,loss\n1,2\n3\n", "line 3 has 1 fields, the header has 2"),
        ("N,loss\n1,2,3\n", "line 2 has 3 fields, the header has 2"),
        ("1,2\n3,4\n", "line 1 holds numbers; it must name the columns"),
        ("N;loss\n1;2\n", "the header is one column, 'N;loss'"),
        ("N\tloss\n1\t2\n", "separated by commas"),
        ('N,loss\n"1,2\n', "line 2: unexpected end of data"),
        (b"N,loss\n\xff\xfe,2\n", "not UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(write, content, text):
    path = write(content)
    with pytest.raises(LawsError, match=text) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_an_unnamed_index_column_is_no_fault(write):
    assert list(read_table(write(",loss,\n0,1,a\n")).columns)[1] == "loss"


def test_a_tsv_is_separated_by_tabs(write):
    table = read_table(write("N\tthe, loss\n1\t2\n", "runs.TSV"))
    assert table.numbers("the, loss").tolist() == [2]


def test_other_kinds_of_file_are_refused(write):
    with pytest.raises(LawsError, match=r"runs.xlsx: a table is a .csv, .tsv or .parquet file"):
        read_table(write("", "runs.xlsx"))


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")


def test_parquet_is_read_and_its_rows_are_counted_from_one(tmp_path):
    path = tmp_path / "runs.parquet"
    pd.DataFrame({"N": [1, 2], "loss": [1.5, None], "name": ["a", None]}).to_parquet(path)
    table = read_table(path)
    assert table.numbers("N").tolist() == [1, 2]
    with pytest.raises(LawsError, match="column 'loss', row 2: nan is not finite"):
        table.numbers("loss")
    with pytest.raises(LawsError, match="column 'name', row 1: 'a' is not a number"):
        table.numbers("name")


def test_a_damaged_parquet_file_is_a_laws_error(write):
    with pytest.raises(LawsError, match="not a Parquet file"):
        read_table(write("no parquet", "runs.parquet"))


def test_an_empty_parquet_file_is_refused(tmp_path):
    path = tmp_path / "runs.parquet"
    pd.DataFrame({"N": []}).to_parquet(path)
    with pytest.raises(LawsError, match="holds no rows"):
        read_table(path)


def test_a_missing_column_suggests_close_names(write):
    table = read_table(write("N,Loss,budget\n1,2,3\n"))
    with pytest.raises(LawsError, match=r"no column 'loss'; did you mean 'Loss'\?"):
        table.numbers("loss")
    with pytest.raises(LawsError, match="no column 'zzz'; columns: 'N', 'Loss', 'budget'"):
        table.numbers("zzz")


def test_rows_are_chosen_by_text_or_by_number(write):
    table = read_table(write("axis,C,loss\na,1e10,1\nb,10000000000.0,2\na,3e10,3\n"))
    kept = table.keep(table.matching("axis", "a"))
    assert kept.numbers("loss").tolist() == [1, 3]
    assert kept.lines.tolist() == [2, 4]
    assert table.matching("C", "1e10").tolist() == [True, True, False]
    with pytest.raises(LawsError, match="column 'axis' holds no 'c'; values: 'a', 'b'"):
        table.matching("axis", "c")


def test_columns_in_memory_are_held_to_the_same_rules():
    table = as_table({"N": [1, 2], "loss": np.array([3.0, -1.0])})
    assert table.numbers("N").tolist() == [1, 2]
    with pytest.raises(LawsError, match="table: column 'loss', row 2: -1 is not positive"):
        table.numbers("loss")
    frame = pd.DataFrame([[1, 2]], columns=["N", "N"])
    with pytest.raises(LawsError, match="columns 1 and 2 are both named 'N'"):
        as_table(frame)
    with pytest.raises(LawsError, match="'loss' has 1 rows, 'N' has 2"):
        as_table({"N": [1, 2], "loss": [1]})
    with pytest.raises(LawsError, match=r"'N' has shape \(1, 2\)"):
        as_table({"N": [[1, 2]]})
    with pytest.raises(LawsError, match="holds no rows"):
        as_table({})
    assert as_table(pd.DataFrame({"N": [True, False]})).rows == 2
    with pytest.raises(LawsError, match="'True' is not a number"):
        as_table(pd.DataFrame({"N": [True, False]})).numbers("N")
