"""The figures: one module each, `draw(results)` gives the figure and the tidy table it draws.

Choices: the names are known without importing matplotlib, so that the DAG and the command line
start at once; a figure and its CSV are written together, from the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from behavior_scaling.laws.workers import worker_pool
from behavior_scaling.report import tidy
from behavior_scaling.report.inputs import ReportError, Results, load_results
from behavior_scaling.report.names import FIGURES


def make_figure(name: str, results_dir: Path, floors: Path, out_dir: Path) -> list[Path]:
    """Draw one figure into out_dir/<name>.{pdf,svg,png,csv}; returns the paths.

    Args:
        name: one of names.FIGURES.
        results_dir: folder with runs.parquet and laws/.
        floors: what `behavior-scaling floors` wrote.
        out_dir: made if absent.

    Raises:
        ReportError: there is no such figure, or the results cannot be read.
    """
    return _write(name, load_results(results_dir, floors), out_dir)


def make_figures(results_dir: Path, floors: Path, out_dir: Path, workers: int = 1) -> list[Path]:
    """Draw every figure, as `make_figure` draws one; returns the paths.

    Args:
        results_dir: folder with runs.parquet and laws/.
        floors: what `behavior-scaling floors` wrote.
        out_dir: made if absent.
        workers: processes that share the figures; bytes do not depend on it. More than one asks
            for an importable main module (Python's rule for spawned processes).
    """
    draw = partial(_drawn, results_dir, floors, out_dir)
    if workers == 1:
        return draw(FIGURES)
    with worker_pool(workers) as pool:
        shares = pool.map(draw, [FIGURES[first::workers] for first in range(workers)])
        return [path for paths in shares for path in paths]


def _drawn(results_dir: Path, floors: Path, out_dir: Path, names: Sequence[str]) -> list[Path]:
    results = load_results(results_dir, floors)
    return [path for name in names for path in _write(name, results, out_dir)]


def _write(name: str, results: Results, out_dir: Path) -> list[Path]:
    if name not in FIGURES:
        raise ReportError(f"no figure is called {name!r}; choose from {', '.join(FIGURES)}")
    from behavior_scaling.report import style

    with style.applied():
        figure, table = import_module(f"{__name__}.{name}").draw(results)
        paths = style.save(figure, out_dir / name)
    paths.append(out_dir / f"{name}.csv")
    tidy.write_csv(table, paths[-1])
    return paths
