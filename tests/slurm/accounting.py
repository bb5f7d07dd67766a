"""Accounting for the loopback SLURM: slurmdbd over a MariaDB of its own, on loopback, too."""

from __future__ import annotations

import getpass
import shutil
import time

from .cluster import FOLDER, Cluster, ClusterError, install

PACKAGES = ("slurmdbd", "mariadb-server-core", "mariadb-client-core")
PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")
PORT, DATABASE_PORT = 16819, 16830
ACCOUNT = "lab"
SETTINGS = {
    "AccountingStorageType": "accounting_storage/slurmdbd",
    "AccountingStorageHost": "localhost",
    "AccountingStoragePort": str(PORT),
    "AccountingStoragePass": f"{FOLDER}/munge/munge.socket",
    "AccountingStorageEnforce": "associations,limits",
    "AccountingStorageTRES": "gres/gpu",
}
CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={folder}/log/slurmdbd
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
GRANTS = """
create database slurm_acct_db;
create user 'slurm'@'localhost' identified by 'slurm';
create user 'slurm'@'127.0.0.1' identified by 'slurm';
grant all on slurm_acct_db.* to 'slurm'@'localhost';
grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';
"""


def install_accounting() -> None:
    """Install slurmdbd and MariaDB where they are absent.

    Raises:
        ClusterError: they cannot be.
    """
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        install(PACKAGES, absent)


def start_accounting(cluster: Cluster) -> None:
    """Start MariaDB and slurmdbd, with an account that may have two jobs in the queue.

    Raises:
        ClusterError: one of them did not come up.
    """
    place = cluster.folder / "mysql"
    place.mkdir()
    data, socket = f"--datadir={place}/data", f"{place}/mysql.sock"
    cluster.run(
        "mariadb-install-db", "--no-defaults", "--user=root", data, "--skip-test-db",
        "--auth-root-authentication-method=normal",
    )  # fmt: skip
    cluster.run(
        "setsid", "--fork", "mariadbd", "--no-defaults", "--user=root", data,
        f"--socket={socket}", f"--pid-file={cluster.folder}/run/mariadbd.pid",
        f"--log-error={cluster.folder}/log/mariadbd", "--bind-address=127.0.0.1",
        f"--port={DATABASE_PORT}", "--innodb-buffer-pool-size=64M",
        "--innodb-lock-wait-timeout=900",
    )  # fmt: skip
    client = ("mariadb", "--no-defaults", "-uroot", "-S", socket, "-e")
    _until_it_works(cluster, *client, "select 1")
    cluster.run(*client, GRANTS)
    conf = cluster.conf.parent / "slurmdbd.conf"
    conf.write_text(CONF.format(folder=cluster.folder, port=PORT, database_port=DATABASE_PORT))
    conf.chmod(0o600)
    cluster.run("slurmdbd")
    # A client that comes before it has begun waits for ever.
    _until_it_works(cluster, "grep", "-q", "version .* started", f"{cluster.folder}/log/slurmdbd")
    manager = ("sacctmgr", "-i", "add")
    cluster.run(*manager, "cluster", "loopback")
    cluster.run(*manager, "account", ACCOUNT, "cluster=loopback")
    cluster.run(*manager, "user", getpass.getuser(), f"account={ACCOUNT}", "maxsubmitjobs=2")


def _until_it_works(cluster: Cluster, *command: str) -> None:
    for attempt in range(100):
        try:
            return cluster.run(*command)
        except ClusterError:
            if attempt == 99:
                raise
            time.sleep(0.2)
