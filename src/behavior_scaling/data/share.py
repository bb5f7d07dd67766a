"""Prepared data, and what is measured on them, between this machine and a results folder elsewhere.

Choices: data are the same if their identity is, whatever the dates of their files; data of another
identity are refused in both directions, because no run of the one belongs to the other; a folder of
data appears under its name by one rename, or, in an object store, with its meta.json, sent last.
An interrupted copy goes on with the files that came whole.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.store import META, Dataset
from behavior_scaling.files import replacing, write_text
from behavior_scaling.records.remote import Remote, ShareError
from behavior_scaling.records.spec import DataSpec

DATA = "data"  # folder of prepared data below a results folder


@dataclass(frozen=True)
class RemoteMeta:
    """What the far side's meta.json says."""

    text: str
    spec: DataSpec
    n_items: int
    files: dict[str, str]  # SHA-256 by name


def remote_meta(remote: Remote, name: str) -> RemoteMeta | None:
    """Read the meta.json of a data set elsewhere; None if there is none.

    Raises:
        ShareError: it is damaged.
    """
    content = remote.read(f"{DATA}/{name}/{META}")
    if content is None:
        return None
    try:
        body = json.loads(content)
        facts = body["facts"]
        spec = DataSpec(**facts["spec"])
        return RemoteMeta(content.decode(), spec, facts["n_items"], dict(body["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ShareError(
            f"{remote.url}/{DATA}/{name}/{META}: damaged ({error!r}); remove it there and push the "
            "data again from a machine that has them"
        ) from None


def pull_data(remote: Remote, path: Path, dry: bool) -> int:
    """Bring a data set, unless whole data of the same identity stand at `path`.

    Args:
        remote: the results folder elsewhere.
        path: folder of the data set here, of the same name as there.
        dry: copy nothing.

    Returns:
        Bytes of what was (or would be) copied; 0 where nothing was.

    Raises:
        ShareError: absent or damaged there, or of another identity than those here.
    """
    meta = remote_meta(remote, path.name)
    if meta is None:
        raise ShareError(
            f"{remote.url}/{DATA}/{path.name}: no prepared data of this study there; push them "
            "from a machine that has them"
        )
    if _stands(path, meta.spec, remote):
        return 0
    sizes = remote.sizes(f"{DATA}/{path.name}")
    if not dry:
        incoming = path.with_name(f".{path.name}.incoming")
        remote.fetch(f"{DATA}/{path.name}", meta.files, incoming)
        write_text(incoming / META, meta.text)
        Dataset.open(incoming)
        _put_in_place(incoming, path)
    return sum(sizes.get(name, 0) for name in (*meta.files, META))


def push_data(dataset: Dataset, remote: Remote, dry: bool, verify: bool) -> int:
    """Send a data set, unless data of the same identity stand there.

    Args:
        dataset: opened with verify.
        remote: the results folder elsewhere.
        dry: copy nothing.
        verify: read what stands there, and send damaged files again; in a folder of this machine
            that is always done.

    Returns:
        Bytes of what was (or would be) copied; 0 where nothing was.

    Raises:
        ShareError: data of another identity stand there, or something could not be sent.
    """
    path = dataset.path
    if remote.folder is not None:
        here = Remote(str(path.resolve().parent.parent))
        return pull_data(here, remote.folder / DATA / path.name, dry)
    files: dict[str, str] = json.loads((path / META).read_text())["files"]
    meta = remote_meta(remote, path.name)
    if meta is not None:
        _same(dataset.data_spec(), meta.spec, remote, path)
        there = remote.sizes(f"{DATA}/{path.name}")
        names = meta.files if verify else {}
        whole = set(meta.files) <= set(there) and all(
            remote.sha256(f"{DATA}/{path.name}/{name}") == names[name] for name in names
        )
        if whole:
            return 0
    if not dry:
        remote.send(f"{DATA}/{path.name}", files, path, META)
    return sum((path / name).stat().st_size for name in (*files, META))


def copy_beside(source: Remote, target: Remote, name: str, dry: bool) -> int:
    """Copy one file (floors, truth, a part of the card) that the target lacks; returns its bytes.

    A JSON file that the target cannot read is replaced.

    Args:
        source: a results folder.
        target: another one; one of the two is of this machine.
        name: relative to both.
        dry: copy nothing.
    """
    content = source.read(name)
    standing = target.read(name)
    if content is None or not _readable(name, content):
        return 0
    if standing is not None and _readable(name, standing):
        return 0
    if dry:
        return len(content)
    if target.folder is not None:
        with replacing(target.folder / name) as temporary:
            temporary.write_bytes(content)
    elif source.folder is not None:
        target.put(source.folder / name, name)
    return len(content)


def _readable(name: str, content: bytes) -> bool:
    if not name.endswith(".json"):
        return bool(content)
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _stands(path: Path, wanted: DataSpec, remote: Remote) -> bool:
    if not path.exists():
        return False
    try:
        spec = Dataset.open(path, verify=True).data_spec()
    except DataError:
        return False
    _same(spec, wanted, remote, path)
    return True


def _same(here: DataSpec, there: DataSpec, remote: Remote, path: Path) -> None:
    if here != there:
        raise ShareError(
            f"{path} and {remote.url}/{DATA}/{path.name} hold different data (identities "
            f"{here.identity[:12]} and {there.identity[:12]}): they were prepared from other files "
            "of the source; choose one and remove the other, with the runs made on it"
        )


def _put_in_place(incoming: Path, path: Path) -> None:
    """Rename; damaged data that stand there are removed."""
    aside = path.with_name(f".{path.name}.damaged")
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    incoming.rename(path)
    shutil.rmtree(aside, ignore_errors=True)
