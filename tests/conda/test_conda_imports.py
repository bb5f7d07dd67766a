"""Every rule runs one step in an environment that names every package the step may import.

The imports are read from the sources: all that can be reached from a step's function, also the
imports inside functions. `make test-conda` runs the same steps in the environments themselves.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from .names import pins_of

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
RULES = {
    f"{file.stem}.{name}": text
    for file in [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
    for name, text in re.findall(
        r"^ *(?:rule|checkpoint) (\w+):\n((?:\s*\n| +.*\n)*)", file.read_text(), re.MULTILINE
    )
}
STEPS = {name: text for name, text in RULES.items() if "shell:" in text}
# What is used and not imported by name: `pip download` of `fetch`, pandas's engine for Parquet.
RUN, ENGINE = "pip", "pyarrow"


def command_of(rule: str) -> str:
    found = re.search(r"""["; ]python -m behavior_scaling ([\w-]+)""", STEPS[rule])
    assert found, f"rule {rule} does not call `python -m behavior_scaling`"
    return found[1]


def environment_of(rule: str) -> Path:
    found = re.search(r'conda:\s+"\.\./\.\./(envs/\w+\.yaml)"', STEPS[rule])
    assert found, f"rule {rule} names no environment"
    return ROOT / found[1]


def file_of(module: str) -> Path | None:
    path = SRC.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path if path.is_file() else None


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules that some code imports; not what only a type checker reads."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        yield from (f"{tree.module}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt | ast.excepthandler):
            yield from imports(child)


def part_of(tree: ast.Module, function: str) -> ast.Module:
    """A module without the functions that one of its functions has no use for."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    used: set[str] = set()
    if function not in functions:
        return tree
    left = {function}
    while left:
        used |= left
        names = {
            node.id
            for name in left
            for node in ast.walk(functions[name])
            if isinstance(node, ast.Name)
        }
        left = (names & set(functions)) - used
    kept = [node for node in tree.body if getattr(node, "name", None) not in set(functions) - used]
    return ast.Module(kept, [])


PROVIDED_BY = packages_distributions()


@cache
def direct(module: str) -> frozenset[str]:
    """What a module of the package imports; 'commands.report.fit' is read as that function only."""
    file = file_of(module)
    if file is None:
        parent, _, function = module.rpartition(".")
        if not parent.startswith("behavior_scaling.commands.") or file_of(parent) is None:
            return frozenset((parent,) if parent else ())
        file = file_of(parent)
        assert file is not None
        return frozenset(imports(part_of(ast.parse(file.read_text()), function)))
    text = file.read_text()
    found = set(imports(ast.parse(text)))
    if "import_module(" in text and file.name == "__init__.py":  # it chooses among its own modules
        found |= {f"{module}.{one.stem}" for one in file.parent.glob("*.py") if one != file}
    if "_parquet(" in text:
        found.add(ENGINE)
    return frozenset(found)


@cache
def packages(step: str) -> frozenset[str]:
    """PyPI names of all that a step may import."""
    table = re.findall(r'step\("([\w-]+)", "(\w+)"', (SRC / "behavior_scaling/cli.py").read_text())
    left = [f"behavior_scaling.commands.{dict(table)[step]}.{step.replace('-', '_')}"]
    seen: set[str] = set()
    while left:
        module = left.pop()
        if module not in seen:
            seen.add(module)
            if module.startswith("behavior_scaling"):
                left += direct(module)
    tops = {module.partition(".")[0] for module in seen} - {"behavior_scaling"}
    known = packages_distributions()
    return {known[top][0].lower().replace("_", "-") for top in tops - set(sys.stdlib_module_names)}


def test_the_rules_are_found() -> None:
    assert {"data.fetch", "train.train", "train.collect", "archive.collect"} <= set(STEPS)
    assert set(RULES) - set(STEPS) <= {
        "Snakefile.all", "Snakefile.data", "Snakefile.laws", "analysis.figures",
    }  # fmt: skip


def test_reading_imports_sees_what_a_step_needs() -> None:
    assert {"torch", "lightning", "safetensors"} <= packages("train")
    assert {"requests", "pooch", "duckdb"} <= packages("fetch") | packages("prepare")
    assert "matplotlib" in packages("figure")
    assert "torch" not in packages("fit") | packages("paper") | packages("figure")
    assert {"typst", "pypandoc-binary"} <= packages("paper") - packages("numbers")


def test_what_a_shipped_study_needs_is_in_the_base_install() -> None:
    """`make figures` installs no extra: every package of these rules is a base dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {re.split(r"[^\w-]", entry)[0] for entry in project["dependencies"]}
    rules = [name for name in STEPS if name.split(".")[0] in ("archive", "parts", "analysis")]
    assert {"archive.collect", "analysis.fit", "analysis.draw", "analysis.paper"} <= set(rules)
    lacking = {name: sorted(packages(command_of(name)) - base) for name in rules}
    assert not {name: missing for name, missing in lacking.items() if missing}


@pytest.mark.parametrize("rule", STEPS)
def test_a_rule_finds_its_packages_in_its_environment(rule: str) -> None:
    missing = packages(command_of(rule)) - set(pins_of(environment_of(rule)))
    assert not missing, f"{environment_of(rule).name} lacks {sorted(missing)} for rule {rule}"


@pytest.mark.parametrize("env_file", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_an_environment_names_nothing_that_no_rule_needs(env_file: Path) -> None:
    steps = [command_of(rule) for rule in STEPS if environment_of(rule) == env_file]
    needed = frozenset().union(*(packages(step) for step in steps))
    assert set(pins_of(env_file)) - needed <= {"python", RUN}
