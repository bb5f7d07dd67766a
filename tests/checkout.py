"""What Snakemake reads of a checkout, for tests that run it in a folder of their own."""

import os
import shutil
import subprocess
import sys
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


def start_snakemake(
    folder: Path, study: str, targets: tuple[str, ...], *more: str, cores: int = 2
) -> subprocess.Popen[str]:
    """Snakemake on a study of that folder, in a process group of its own; output comes in one."""
    command = [
        sys.executable, "-m", "snakemake", "--cores", str(cores), "--config",
        f"study=config/{study}.yaml", *more, "--", *targets,
    ]  # fmt: skip
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
