"""Records through a real S3 server on this machine (moto), credentials and buckets that fail too.

Needs the extras `remote` and `s3` (make test-s3): without them it is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from behavior_scaling.records.remote import Remote, ShareError
from behavior_scaling.records.share import pull_records, push_records
from behavior_scaling.records.store import RECORD, Store

from .helpers import example_record

ABSENT = [name for name in ("s3fs", "moto", "flask") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # botocore's own
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for name, value in (
        ("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "word"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("NO_PROXY", "127.0.0.1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield url
    s3fs.S3FileSystem.clear_instance_cache()
    process.terminate()
    process.wait()


def committed(store: Store) -> str:
    record = example_record()
    work = store.work_dir(record.id)
    (work / "ranks.parquet").write_bytes(os.urandom(12_000_000))  # sent in parts
    (work / "users.parquet").write_bytes(b"users")
    return store.commit(record, work).id


def test_records_go_to_s3_and_come_back_whole(server: str, tmp_path: Path) -> None:
    near, other = Store(tmp_path / "near/store"), Store(tmp_path / "other/store")
    ids = [committed(near)]
    remote = Remote("s3://bucket/some/place")

    def push(verify: bool = False) -> Counter[str]:
        copies = push_records(near, remote, ids, lambda copy: None, False, verify)
        return Counter(copy.verdict for copy in copies)

    assert push() == {"copied": 1}
    assert push() == {"there": 1}
    (copy,) = pull_records(remote, other, ids, lambda copy: None, False)
    assert copy.verdict == "copied", copy.reason
    assert other.load(ids[0]) == near.load(ids[0])

    import s3fs

    s3fs.S3FileSystem().pipe_file(f"bucket/some/place/store/{ids[0]}/users.parquet", b"Users")
    shutil.rmtree(other.root)
    (copy,) = pull_records(remote, other, ids, lambda copy: None, False)
    assert copy.verdict == "damaged"
    assert "users.parquet: altered" in copy.reason
    assert push(verify=True) == {"copied": 1}
    (copy,) = pull_records(remote, other, ids, lambda copy: None, False)
    assert copy.verdict == "copied", copy.reason


def test_a_push_that_was_cut_off_shows_no_record(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Store(tmp_path / "near/store")
    ids = [committed(near)]
    remote = Remote("s3://bucket/cut")
    real = Remote.put

    def cut(self: Remote, source: Path, name: str) -> None:
        if name.endswith(RECORD):
            raise ShareError("the line is dead")
        real(self, source, name)

    monkeypatch.setattr(Remote, "put", cut)
    with pytest.raises(ShareError, match="the line is dead"):
        push_records(near, remote, ids, lambda copy: None, False, False)
    assert len(remote.sizes("store")) == 2
    (copy,) = pull_records(remote, Store(tmp_path / "o/store"), ids, lambda copy: None, True)
    assert copy.verdict == "absent"


def test_what_s3_refuses_is_said_with_the_url(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Store(tmp_path / "near/store")
    ids = [committed(near)]
    with pytest.raises(ShareError, match=r"s3://nobucket/x/.*[Bb]ucket.*credentials"):
        push_records(near, Remote("s3://nobucket/x"), ids, lambda copy: None, False, False)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ShareError, match=r"NoCredentialsError: Unable to locate credentials"):
        push_records(near, Remote("s3://bucket/x"), ids, lambda copy: None, False, False)
