"""docs/reliability.md against the tests: a row's test exists and runs, every fault has a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
COLUMNS = ("Fault", "What happens", "What is lost", "What you do", "Test")

# What the page promises at the least, each as a pattern for the first column.
FAULTS = (
    r"kill -9 of a run, in training", r"kill -9 of a run, while a checkpoint is written",
    r"kill -9 of a run, at any call of the commit", r"kill -9 of Snakemake, stale lock",
    r"kill -9 of a worker in DDP", r"Full disk, .* a checkpoint, ranks, .* a record",
    r"Full disk, while data are prepared", r"Full disk, while a figure", r"Truncated checkpoint",
    r"Flipped byte in a record", r"Flipped byte in ranks\.parquet, the embedder", r"Clock jumps",
    r"dated in the future", r"NaN loss$", r"NaN loss, in the fits", r"NaN loss, in the tables",
    r"SIGTERM .*in preparation", r"SIGTERM in training", r"SIGTERM in evaluation",
    r"SIGTERM .*in fitting", r"SIGTERM .*in plotting", r"Out of memory", r"No inode left",
    r"store that may not be written", r"Lost connection", r"Two processes on one store",
    r"Flipped byte in prepared data", r"Study file changed", r"Damaged bundle file",
    r"Half-copied or empty",
)  # fmt: skip


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == COLUMNS
    return cells[2:]


def test_every_row_is_whole_and_names_its_own_test() -> None:
    found = rows()
    assert all(len(row) == len(COLUMNS) and all(row) for row in found)
    assert len({row[0] for row in found}) == len({row[4] for row in found}) == len(found)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_test_of_a_row_exists_and_is_not_skipped(row: list[str]) -> None:
    stated = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", row[4])
    assert stated is not None, row[4]
    path = ROOT / stated[1]
    assert path.is_file(), f"{path} is gone"
    tree = ast.parse(path.read_text())
    tests = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert stated[2] in tests, f"{path} has no {stated[2]}"
    marks = {mark for one in tests[stated[2]].decorator_list for mark in names(one)}
    marks |= {
        mark
        for node in tree.body
        if isinstance(node, ast.Assign) and names(node.targets[0]) == {"pytestmark"}
        for mark in names(node.value)
    }
    assert not marks & {"skip", "xfail"}
    first = tests[stated[2]].body[1 if ast.get_docstring(tests[stated[2]]) else 0]
    assert not (isinstance(first, ast.Expr) and names(first) & {"skip", "xfail"})


def names(tree: ast.AST) -> set[str]:
    """Every name and attribute of an expression."""
    nodes = list(ast.walk(tree))
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_row(fault: str) -> None:
    assert any(re.search(fault, row[0]) for row in rows())
