"""Finished records between a store and a results folder elsewhere.

Choices: the far side is laid out as results/ is, so copying that folder by any means is the same;
a record travels whole, is checked by its own hashes on both sides, and a record that stands stays:
of two whole records of a run neither is better. Failed runs stay where they failed (another
machine may do better), and so do unfinished ones, with their checkpoints and leases. A far side
that is a folder is a store like this one, in which records appear by one rename; elsewhere a
record is there when its record.json is, which is sent last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from behavior_scaling.files import replacing
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.remote import Remote, ShareError
from behavior_scaling.records.store import RECORD, Store, load_record

STORE = "store"  # folder of records below a results folder
WORKERS = 8  # runs copied at once: small files, long ways

Verdict = Literal["copied", "there", "differs", "failed", "damaged", "absent"]


@dataclass(frozen=True)
class Copy:
    """What is to become of one run, or became of it; `size` in bytes, of what is copied."""

    run_id: str
    verdict: Verdict
    size: int = 0
    reason: str = ""


def pull_records(
    remote: Remote, store: Store, run_ids: Sequence[str], told: Callable[[Copy], None], dry: bool
) -> list[Copy]:
    """Bring records of runs that the store has no good one of.

    Args:
        remote: the results folder elsewhere.
        store: this machine's.
        run_ids: the runs.
        told: takes every copy as it is made, from several threads.
        dry: copy nothing.

    Returns:
        A copy for each run.
    """
    sizes = _sizes(remote)

    def one(run_id: str) -> Copy:
        copy = _judge(_look(remote, run_id, sizes, False), _stands(store, run_id), run_id, sizes)
        if copy.verdict == "copied" and not dry:
            try:
                _receive(remote, store, run_id)
            except (ShareError, RecordError) as error:
                copy = Copy(run_id, "damaged", reason=str(error))
        told(copy)
        return copy

    return _all(one, run_ids)


def push_records(
    store: Store,
    remote: Remote,
    run_ids: Sequence[str],
    told: Callable[[Copy], None],
    dry: bool,
    verify: bool,
) -> list[Copy]:
    """Send records of runs that the far side has no good one of.

    Args:
        store: this machine's.
        remote: the results folder elsewhere.
        run_ids: the runs.
        told: takes every copy as it is made, from several threads.
        dry: copy nothing.
        verify: read every file that stands on the far side, and replace damaged ones; in a folder
            of this machine that is always done.

    Returns:
        A copy for each run.
    """
    here = Remote(str(store.root.resolve().parent))
    if remote.folder is not None:
        return pull_records(here, Store(remote.folder / STORE), run_ids, told, dry)
    sizes, far = _sizes(here), _sizes(remote)

    def one(run_id: str) -> Copy:
        copy = _judge(_stands(store, run_id), _look(remote, run_id, far, verify), run_id, sizes)
        if copy.verdict == "copied" and not dry:
            record = store.load(run_id)
            remote.send(f"{STORE}/{run_id}", record.files, store.path(run_id), RECORD)
        told(copy)
        return copy

    return _all(one, run_ids)


def _all(one: Callable[[str], Copy], run_ids: Sequence[str]) -> list[Copy]:
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            return list(pool.map(one, run_ids))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _judge(
    source: Record | str | None,
    standing: Record | str | None,
    run_id: str,
    sizes: dict[str, dict[str, int]],
) -> Copy:
    """What to do; a side is its record, or says why it is damaged, or has none."""
    if isinstance(standing, Record) and standing.outcome != "failed":
        if (
            isinstance(source, Record)
            and source.outcome != "failed"
            and source.numeric_hash != standing.numeric_hash
        ):
            return Copy(run_id, "differs")
        return Copy(run_id, "there")
    if source is None:
        return Copy(run_id, "absent")
    if isinstance(source, str):
        return Copy(run_id, "damaged", reason=source)
    if source.outcome == "failed":
        return Copy(run_id, "failed")
    reason = f"in place of a damaged one: {standing}" if isinstance(standing, str) else ""
    names = (RECORD, *source.files)
    return Copy(run_id, "copied", sum(sizes[run_id][name] for name in names), reason)


def _stands(store: Store, run_id: str) -> Record | str | None:
    if not store.path(run_id).exists():
        return None
    try:
        return store.load(run_id)
    except RecordError as error:
        return str(error)


def _look(
    remote: Remote, run_id: str, sizes: dict[str, dict[str, int]], verify: bool
) -> Record | str | None:
    """The far side's record; its files are seen to be there, and read only to verify."""
    if RECORD not in sizes.get(run_id, {}):
        return None
    name = f"{STORE}/{run_id}"
    where = f"{remote.url}/{name}"
    text = remote.read(f"{name}/{RECORD}")
    try:
        record = Record.from_json((text or b"").decode(errors="replace"), f"{where}/{RECORD}")
    except RecordError as error:
        return str(error)
    if record.id != run_id:
        return f"{where}/{RECORD}: holds run {record.id}"
    for file, digest in record.files.items():
        if file not in sizes[run_id]:
            return f"{where}/{file}: missing beside its record"
        if verify and remote.sha256(f"{name}/{file}") != digest:
            return f"{where}/{file}: altered: its SHA-256 is not the one in the record"
    return record


def _receive(remote: Remote, store: Store, run_id: str) -> None:
    incoming: Path = store.root / ".incoming" / run_id
    text = remote.read(f"{STORE}/{run_id}/{RECORD}") or b""
    record = Record.from_json(text.decode(), f"{remote.url}/{STORE}/{run_id}/{RECORD}")
    remote.fetch(f"{STORE}/{run_id}", record.files, incoming)
    with replacing(incoming / RECORD) as temporary:
        temporary.write_bytes(text)
    load_record(incoming, run_id)
    store.adopt(incoming, run_id, record.outcome)


def _sizes(remote: Remote) -> dict[str, dict[str, int]]:
    """Bytes of the files of every record, by run id and name."""
    sizes: dict[str, dict[str, int]] = {}
    for path, size in remote.sizes(STORE).items():
        run_id, _, name = path.partition("/")
        sizes.setdefault(run_id, {})[name] = size
    return sizes
