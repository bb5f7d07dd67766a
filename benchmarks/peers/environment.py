"""The peers' environment: made once, torch first and alone, then the pinned rest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
LOCK = HERE.parents[1] / "requirements.lock"
STAMP = ".installed"


def peers_python(venv: Path) -> Path:
    """The environment's interpreter; the environment is made if its pins are newer than it.

    Raises:
        subprocess.CalledProcessError: pip could not install; what it said is on the terminal.
    """
    python, stamp = venv / "bin" / "python", venv / STAMP
    if stamp.is_file() and stamp.read_text() == _wanted():
        return python
    print(f"== installing the peers in {venv} (once, some minutes)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"torch=={torch_version()}"], check=True)
    subprocess.run([*install, "--requirement", str(REQUIREMENTS)], check=True)
    stamp.write_text(_wanted())
    return python


def torch_version() -> str:
    """The version that requirements.lock names: the same for us and for the peers.

    Raises:
        ValueError: the lock names none.
    """
    found = re.search(r"^# torch==(\S+)$", LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{LOCK}: no line '# torch==…' says which torch to install")
    return found.group(1)


def _wanted() -> str:
    return f"torch=={torch_version()}\n{REQUIREMENTS.read_text()}"
