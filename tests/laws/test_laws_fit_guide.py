"""docs/guide_fit.md says what the command prints; `python <this file>` rewrites its outputs."""

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from behavior_scaling import cli
from behavior_scaling.laws.csv_table import read_table
from behavior_scaling.laws.on_table import fit_table

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide_fit.md"
PUBLIC = "svg_extracted_data.csv"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| 0\.\d+ \| .* \|$", re.MULTILINE)
POINTS = {"n": "Model Size", "c": "Training FLOP", "y": "loss", "drop_largest": 5}


def public_points() -> Path | None:
    """The file of 245 points, where the known answers are at hand."""
    mirror = os.environ.get("BEHAVIOR_SCALING_MIRROR")
    path = Path(mirror or ".").parent / "known_answers" / "chinchilla_points.csv"
    return path if mirror and path.is_file() else None


def rendered(block: str) -> str:
    """A console block with the outputs that its commands give now."""
    text = ""
    for line in block.splitlines():
        if line.startswith("$ "):
            out = io.StringIO()
            arguments = [str(public_points()) if a == PUBLIC else a for a in shlex.split(line)[2:]]
            with (
                contextlib.chdir(ROOT),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(out),
            ):
                cli.main(arguments)
            text += f"{line}\n{out.getvalue().replace(str(public_points()), PUBLIC)}"
    return text


def exponent_row(law: str) -> str:
    """A row of the table of exponents."""
    more = {"isoflop": {"tolerance": 0.1}, "parametric": {"bootstrap": 4000}}.get(law, {})
    fit = fit_table(law, read_table(public_points() or Path()), **POINTS, **more)
    found = fit.derived if law in ("parametric", "vpnls") else fit.parameters
    e = found["N_exponent"]
    return f"| `{law}` | {e.value:.4f} | {e.low:.4f} to {e.high:.4f} |"


@pytest.mark.parametrize("block", BLOCK.findall(GUIDE.read_text()), ids=lambda b: b.split("\n")[0])
def test_every_output_is_what_the_command_prints(block):
    if PUBLIC in block and public_points() is None:
        pytest.skip("known_answers/chinchilla_points.csv is not beside BEHAVIOR_SCALING_MIRROR")
    assert rendered(block) == block


@pytest.mark.parametrize("law", [match[1] for match in ROW.finditer(GUIDE.read_text())])
def test_the_table_of_exponents_is_what_the_laws_say(law):
    if public_points() is None:
        pytest.skip("known_answers/chinchilla_points.csv is not beside BEHAVIOR_SCALING_MIRROR")
    assert f"\n{exponent_row(law)}\n" in GUIDE.read_text()


def test_the_table_of_exponents_is_there():
    assert len(ROW.findall(GUIDE.read_text())) == 4


if __name__ == "__main__":
    if public_points() is None:
        raise SystemExit("BEHAVIOR_SCALING_MIRROR must name the folder beside known_answers")
    page = BLOCK.sub(lambda match: f"```console\n{rendered(match[1])}```", GUIDE.read_text())
    GUIDE.write_text(ROW.sub(lambda match: exponent_row(match[1]), page))
