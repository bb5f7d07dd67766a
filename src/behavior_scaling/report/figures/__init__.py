"""The figures: one module each, `draw(results)` gives the figure and the tidy table it draws.

Choices: the names are known without importing matplotlib, so that the DAG and the command line
start at once; a figure and its CSV are written together, from the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from behavior_scaling.report import tidy
from behavior_scaling.report.inputs import ReportError, Results, load_results
from behavior_scaling.report.names import FIGURES


def make_figure(name: str, results_dir: Path, floors: Path, out_dir: Path) -> list[Path]:
    """Draw one figure, as `make_figures` draws several."""
    return make_figures([name], results_dir, floors, out_dir)


def make_figures(
    names: Sequence[str], results_dir: Path, floors: Path, out_dir: Path
) -> list[Path]:
    """Draw figures into out_dir/<name>.{pdf,svg,png,csv}; returns the paths.

    Args:
        names: of names.FIGURES.
        results_dir: folder with runs.parquet and laws/; read once for all of them.
        floors: what `behavior-scaling floors` wrote.
        out_dir: made if absent.

    Raises:
        ReportError: there is no such figure, or the results cannot be read.
    """
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
