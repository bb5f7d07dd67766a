"""What Snakemake reads of a checkout, for tests that run it in a folder of their own."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_workflow(folder: Path) -> Path:
    """Copy the Snakefile and all that it reads, but the package, into a folder; returns it."""
    folder.mkdir(exist_ok=True)
    for name in ("workflow", "config", "paper", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copy(ROOT / "profiles", folder, follow_symlinks=False)
    return folder
