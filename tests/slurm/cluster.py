"""A real SLURM of one node on loopback, with GPUs that are declared and do not exist.

    python tests/slurm/cluster.py start [FOLDER]
    python tests/slurm/cluster.py stop [FOLDER]

Choices: everything lies under one folder and is stopped by the process ids that are written there,
so that no other SLURM or munge is touched; the executor's job step drops SLURM_CONF, so slurm.conf
has to be at its built-in place, too: a link, made by `start` only where nothing stands, and removed
by `stop`. That link and root's device files are why it takes root. Declared GPUs are device files
that are /dev/null: they queue and set CUDA_VISIBLE_DEVICES, and compute nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
LINK = Path("/etc/slurm/slurm.conf")
FOLDER = Path(tempfile.gettempdir()) / "loopback-slurm"  # one built-in place: one SLURM at a time
GPUS = 4
PROGRAMS = ("munged", "slurmctld", "slurmd")
ORDER = ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged")  # in which they are stopped


class ClusterError(RuntimeError):
    """SLURM cannot be started here; the message says what is missing."""


class Cluster:
    """The daemons under one folder.

    Args:
        folder: made if absent; its path must be short and without spaces (a socket lies in it).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.node = socket.gethostname().partition(".")[0]
        self.conf = self.folder / "etc" / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """What commands of SLURM need to find this one."""
        return os.environ | {"SLURM_CONF": str(self.conf)}

    def start(
        self, settings: Mapping[str, str] = {}, before: Callable[[Cluster], None] | None = None
    ) -> None:
        """Start munged, slurmctld and slurmd, and wait until the node takes jobs.

        Args:
            settings: keys of slurm.conf and their values, instead of those of slurm.conf.in.
            before: starts what slurmctld needs, once munged is up and slurm.conf is written.

        Raises:
            ClusterError: not root, another SLURM is configured here, or it did not come up.
        """
        check_host(self.conf)
        for name in ("etc", "munge", "ctld", "slurmd", "log", "run", "gpu"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._write_conf(settings)
        self._munge()
        for number in range(GPUS):
            device = self.folder / "gpu" / f"gpu{number}"
            if not device.exists():
                os.mknod(device, 0o20666, os.stat("/dev/null").st_rdev)
        if before is not None:
            before(self)
        LINK.parent.mkdir(exist_ok=True)
        if not LINK.is_symlink():
            LINK.symlink_to(self.conf)
        self.start_slurmctld()
        self.start_slurmd()
        self.wait_for_node("idle")

    def start_slurmctld(self) -> None:
        """Start the controller, from the state that it left."""
        self.run("slurmctld", "-f", str(self.conf), "-L", str(self.folder / "log/slurmctld"))

    def start_slurmd(self) -> None:
        """Start the node's daemon; jobs that outlived the last one are taken over."""
        self.run(
            "slurmd", "-N", self.node, "-f", str(self.conf), "-L", str(self.folder / "log/slurmd")
        )

    def wait_for_node(self, *states: str, seconds: float = 30) -> None:
        """Wait until the node is in one of the states.

        Raises:
            ClusterError: it is not, after so many seconds.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.ask("sinfo", "-h", "-p", "gpu", "-o", "%T").strip()
            if found in states:
                return
            time.sleep(0.2)
        tails = [
            "\n".join([str(log), *log.read_text(errors="replace").splitlines()[-10:]])
            for log in sorted((self.folder / "log").iterdir())
        ]
        raise ClusterError(f"the node is {found!r}, not {states}\n" + "\n".join(tails))

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints; nothing where the controller does not answer."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30)
        return done.stdout

    def pid(self, name: str) -> int | None:
        """The process of a daemon that was started here and lives."""
        path = self.folder / "run" / f"{name}.pid"
        try:
            pid = int(path.read_text())
            command, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except (OSError, ValueError):
            return None
        ended = rest.split()[0] == "Z"  # and nobody asked how: in a container, often for good
        return pid if command.endswith(f"({name}") and not ended else None

    def stop(self) -> None:
        """Cancel what runs, stop every daemon that was started here, remove the link."""
        if self.pid("slurmctld") and self.pid("slurmd"):
            self._cancel_all()
        pids = {name: pid for name in ORDER if (pid := self.pid(name)) is not None}
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while any(self.pid(name) for name in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        for name in pids:
            if (pid := self.pid(name)) is not None:
                os.kill(pid, signal.SIGKILL)
        if LINK.is_symlink() and LINK.readlink() == self.conf:
            LINK.unlink()

    def _cancel_all(self) -> None:
        """Leave no process of a job behind."""
        try:
            for job in self.ask("squeue", "-h", "-t", "R,PD", "-o", "%A").split():
                self.ask("scancel", "--signal=KILL", "--full", job)
                self.ask("scancel", job)
            deadline = time.monotonic() + 10
            while self.ask("squeue", "-h", "-t", "R,CG").strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        except subprocess.TimeoutExpired:
            pass  # the daemons are stopped in any case

    def _munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "munge.key"
        if not key.is_file():
            key.write_bytes(os.urandom(128))
            key.chmod(0o600)
        self.run(
            "munged", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={self.folder}/run/munged.pid", f"--log-file={self.folder}/log/munged",
            f"--seed-file={folder}/munged.seed", "--force",
        )  # fmt: skip

    def _write_conf(self, settings: Mapping[str, str]) -> None:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 - 512
        text = (HERE / "slurm.conf.in").read_text()
        words = {"@ROOT@": str(self.folder), "@NODE@": self.node, "@MEMORY@": str(memory)}
        for word, value in words.items():
            text = text.replace(word, value)
        kept = [line for line in text.splitlines() if line.partition("=")[0] not in settings]
        lines = [*kept, *(f"{key}={value}" for key, value in settings.items())]
        self.conf.write_text("\n".join(lines) + "\n")
        (self.conf.parent / "gres.conf").write_text(
            f"NodeName={self.node} Name=gpu File={self.folder}/gpu/gpu[0-{GPUS - 1}]\n"
        )

    def run(self, *command: str) -> None:
        """Run a command of SLURM, or start a daemon that goes to the background by itself.

        Raises:
            ClusterError: it failed.
        """
        said = self.folder / "log" / "said"
        with said.open("w") as file:  # no pipe, which a daemon would keep open
            done = subprocess.run(command, env=self.env, stdout=file, stderr=file, timeout=60)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}\n{said.read_text()}")


def check_host(conf: Path) -> None:
    """Install what is missing, if that can be done.

    Raises:
        ClusterError: it cannot, or another SLURM is configured here.
    """
    if LINK.exists() and not (LINK.is_symlink() and LINK.readlink() == conf):
        raise ClusterError(f"{LINK} belongs to another SLURM; it is left alone, nothing is started")
    if os.geteuid() != 0:
        raise ClusterError(
            f"a SLURM of one's own takes root: the executor's job step reads {LINK} only; "
            "try it in a container or a virtual machine"
        )
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        install(("slurm-wlm", "munge"), absent)


def install(packages: tuple[str, ...], absent: list[str]) -> None:
    """Install packages by apt-get.

    Raises:
        ClusterError: there is no apt-get, or it failed.
    """
    what = f"{', '.join(absent)} not found"
    if shutil.which("apt-get") is None:
        raise ClusterError(f"{what}, and no apt-get either: install {' and '.join(packages)}")
    print(f"{what}: installing {' and '.join(packages)} by apt-get", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise ClusterError(f"apt-get {command[0]} failed:\n{done.stderr}")


@contextmanager
def running(
    settings: Mapping[str, str] = {}, before: Callable[[Cluster], None] | None = None
) -> Iterator[Cluster]:
    """A new cluster, stopped whatever happens; one that a killed test left is stopped first."""
    cluster = Cluster(FOLDER)
    cluster.stop()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        cluster.start(settings, before)
        yield cluster
    finally:
        cluster.stop()


def main() -> int:
    """Start or stop one by hand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    args = parser.parse_args()
    cluster = Cluster(args.folder)
    if args.action == "stop":
        cluster.stop()
        return 0
    try:
        cluster.start()
    except BaseException as error:
        cluster.stop()
        if not isinstance(error, ClusterError):
            raise
        print(error, file=sys.stderr)
        return 1
    print(cluster.ask("sinfo", "-N", "-o", "%N %T cpus=%c memory=%m gres=%G"), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
