"""One SLURM at a time, data prepared once, and records of the same runs made without SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cluster import FOLDER, Cluster, ClusterError, check_host
from .studies import LONG, SMALL, StudyFolder


@pytest.fixture(scope="session")
def host() -> None:
    """A machine on which a SLURM can be started."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra hpc is not installed")
    try:
        check_host(Cluster(FOLDER).conf)
    except ClusterError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The small study, run here."""
    study = StudyFolder(tmp_path_factory.mktemp("here") / "small", SMALL)
    study.local()
    return study


@pytest.fixture(scope="session")
def long(small: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The long study, run here and undisturbed."""
    study = StudyFolder(tmp_path_factory.mktemp("here") / "long", LONG, small.folder)
    study.local()
    return study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a study through SLURM goes."""
    return tmp_path / "study"
