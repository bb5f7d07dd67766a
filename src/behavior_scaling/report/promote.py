"""Promoted figures: the committed copies under figures/<study>/, and what differs from them.

Choices: bytes are compared first, because in the locked environment they must agree; elsewhere a
font or a library moves a few pixels, so then the CSV beside a figure decides to 1e-6 and the PNG
to a pixel tolerance; PDF and SVG have no tolerance of their own and follow these two. A promoted
file that no longer fits its checksum was edited by hand, which is a difference too. The paper and
the table of claims are promoted beside the figures that they show, so that they can be read where
nothing was run; they follow the figures and have no tolerance of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from behavior_scaling.files import replacing, sha256_file, write_text
from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.names import FIGURES

KINDS = ("pdf", "svg", "png", "csv")
TEXTS = {"paper.pdf": "paper.pdf", "claims.md": "tables/claims.md"}  # promoted name, place
SUMS = "SHA256SUMS"
CSV_TOLERANCE = 1e-6  # relative, and absolute below 1
PIXEL_LEVEL = 32  # of 255: a channel that differs by more is another pixel
PIXEL_SHARE = 0.002  # of the pixels may be others


@dataclass(frozen=True)
class Difference:
    """One file that is not what was promoted."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def promote(study_results: Path, promoted: Path) -> list[Path]:
    """Copy figures, CSVs and texts of results/<study>/ to figures/<study>/, with SHA256SUMS.

    Raises:
        ReportError: a figure or a text is missing; nothing is copied.
    """
    drawn = [f"{name}.{kind}" for name in FIGURES for kind in KINDS]
    sources = {name: study_results / "figures" / name for name in drawn}
    sources |= {name: study_results / place for name, place in TEXTS.items()}
    names = list(sources)
    missing = [path for path in sources.values() if not path.is_file()]
    if missing:
        step = "draw the figures" if missing[0].parent.name == "figures" else "make the paper"
        raise ReportError(f"{missing[0]}: missing; {step} first")
    for name in set(_sums(promoted)) - set(names):
        (promoted / name).unlink(missing_ok=True)
    for name, source in sources.items():
        with replacing(promoted / name) as temporary:
            temporary.write_bytes(source.read_bytes())
    lines = [f"{sha256_file(promoted / name)}  {name}" for name in sorted(names)]
    write_text(promoted / SUMS, "\n".join(lines) + "\n")
    return [promoted / name for name in names]


def compare(study_results: Path, promoted: Path) -> list[Difference]:
    """What differs between fresh figures and the promoted ones; empty if nothing does.

    Raises:
        ReportError: nothing was promoted yet.
    """
    sums = _sums(promoted)
    if not sums:
        raise ReportError(f"{promoted / SUMS}: missing; promote the figures first")
    found = [
        Difference(name, f"the promoted copy does not fit its {SUMS}")
        for name in TEXTS
        if name in sums and not _fits(promoted / name, sums[name])
    ]
    for name in FIGURES:
        files = [f"{name}.{kind}" for kind in KINDS]
        found += (gone := [d for file in files for d in _absent(file, study_results, promoted)])
        if gone:
            continue
        altered = [f for f in files if sha256_file(promoted / f) != sums.get(f)]
        found += [Difference(f, f"the promoted copy does not fit its {SUMS}") for f in altered]
        fresh = study_results / "figures"
        if any(sha256_file(fresh / f) != sha256_file(promoted / f) for f in files):
            found += _beyond_tolerance(name, fresh, promoted)
    return found


def _beyond_tolerance(name: str, fresh: Path, promoted: Path) -> list[Difference]:
    found = []
    if reason := csv_difference(fresh / f"{name}.csv", promoted / f"{name}.csv"):
        found.append(Difference(f"{name}.csv", reason))
    if reason := image_difference(fresh / f"{name}.png", promoted / f"{name}.png"):
        found.append(Difference(f"{name}.png", reason))
    return found


def csv_difference(first: Path, second: Path) -> str:
    """Why two tidy tables are not the same to 1e-6; '' if they are."""
    a, b = pd.read_csv(first), pd.read_csv(second)
    if list(a.columns) != list(b.columns) or len(a) != len(b):
        return f"{len(a)} rows of {len(a.columns)} columns, promoted {len(b)} of {len(b.columns)}"
    for name in a.columns:
        if a[name].dtype.kind in "fi" and b[name].dtype.kind in "fi":
            x, y = a[name].to_numpy(float), b[name].to_numpy(float)
            same = np.isclose(x, y, rtol=CSV_TOLERANCE, atol=CSV_TOLERANCE, equal_nan=True)
        else:
            same = (a[name].fillna("") == b[name].fillna("")).to_numpy()
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            return (
                f"row {row + 2}, column {name}: {a[name].iloc[row]}, promoted {b[name].iloc[row]}"
            )
    return ""


def image_difference(first: Path, second: Path) -> str:
    """Why two PNGs are not the same to the pixel tolerance; '' if they are."""
    from PIL import Image

    with Image.open(first) as one, Image.open(second) as other:
        a, b = (np.asarray(image.convert("RGB"), dtype=np.int16) for image in (one, other))
    if a.shape != b.shape:
        return f"{a.shape[1]} x {a.shape[0]} pixels, promoted {b.shape[1]} x {b.shape[0]}"
    share = float((np.abs(a - b).max(axis=2) > PIXEL_LEVEL).mean())
    return f"{share:.2%} of the pixels differ" if share > PIXEL_SHARE else ""


def _fits(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_file(path) == digest


def _absent(file: str, study_results: Path, promoted: Path) -> list[Difference]:
    found = []
    if not (promoted / file).is_file():
        found.append(Difference(file, "was never promoted"))
    if not (study_results / "figures" / file).is_file():
        found.append(Difference(file, "was not drawn"))
    return found


def _sums(promoted: Path) -> dict[str, str]:
    path = promoted / SUMS
    if not path.is_file():
        return {}
    pairs = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
    return {name: digest for digest, name in pairs}
