"""A user's own embedder class, named 'module:Class' in a study, and what it states about itself.

Choices: a study is resolved to 'module:Class@<12 hex of the SHA-256 of the source file>', which is
the kind in a run's spec, so that an edited class is another run; the file is looked for below the
study's folder first, then among what is installed; finding and hashing import nothing, the class
is imported only when its sizes are asked for or a model is built (docs/guide_embedder.md).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_PART = r"[A-Za-z_]\w*"
USER_CLASS = (
    rf"{_PART}(?:\.{_PART})*:{_PART}(?:@[0-9a-f]{{12}})?"  # 'module:Class', resolved or not
)
_SHAPE = re.compile(
    rf"(?P<module>{_PART}(?:\.{_PART})*):(?P<name>{_PART})(?:@(?P<digest>[0-9a-f]{{12}}))?"
)
_STATED = ("parameters_of", "training_flops_per_item")

_folders: dict[str, Path | None] = {}  # resolved kind -> folder that its module was found below
_classes: dict[str, type[Any]] = {}  # resolved kind -> class
_imported: set[str] = set()  # outermost modules that were imported for a class


def is_user_class(kind: str) -> bool:
    """Whether an embedder's kind names a class of the user's."""
    return ":" in kind


def resolve(kind: str, folder: Path | None) -> str:
    """'module:Class' with the hash of its source file; nothing is imported.

    Args:
        kind: as the study says, or already resolved.
        folder: searched before what is installed; None for none.

    Raises:
        ValueError: not of that form, no such module, or its source is not the one resolved.
    """
    module, name, digest = _parts(kind)
    source, below = _source(module, folder)
    found = _digest(source)
    if digest not in (None, found):
        raise ValueError(
            f"{kind}: {source} has the hash {found} now: it was edited, which makes other runs; "
            f"write {module}:{name} to use it as it is"
        )
    resolved = f"{module}:{name}@{found}"
    _folders[resolved] = below
    return resolved


def load_class(kind: str) -> type[Any]:
    """Import the class of a resolved kind.

    Raises:
        ValueError: the source has been edited since, cannot be imported, or has no such class; or
            the class does not state its sizes.
    """
    if kind not in _classes:
        _classes[kind] = _import(resolve(kind, _folders.get(kind)))
    return _classes[kind]


def stated_parameters(kind: str, width: int, depth: int, d: int) -> int:
    """Trainable parameters that the class states for its shape.

    Raises:
        ValueError: what load_class refuses, or no positive integer.
    """
    value = load_class(kind).parameters_of(width=width, depth=depth, d=d)
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"embedder.kind {kind}: parameters_of(width={width}, depth={depth}, d={d}) gave "
            f"{value!r}, not a positive integer (without parameters, use the kind 'fixed')"
        )
    return value


def stated_training_flops(kind: str, width: int, depth: int, d: int, tokens: int) -> float:
    """FLOPs, forward and backward, that the class states for embedding one item.

    Raises:
        ValueError: what load_class refuses, or no positive number.
    """
    value = load_class(kind).training_flops_per_item(width=width, depth=depth, d=d, tokens=tokens)
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(
            f"embedder.kind {kind}: training_flops_per_item(width={width}, depth={depth}, d={d}, "
            f"tokens={tokens}) gave {value!r}, not a positive number"
        )
    return float(value)


def stated_saved_floats(kind: str, width: int, depth: int, d: int, tokens: int) -> int:
    """Floats that autograd saves for one item, if the class states them.

    Raises:
        ValueError: it does not.
    """
    stated = getattr(load_class(kind), "saved_floats_per_item", None)
    if stated is None:
        raise ValueError(
            f"embedder.kind {kind}: the class does not state saved_floats_per_item, so its "
            f"memory is not known"
        )
    return int(stated(width=width, depth=depth, d=d, tokens=tokens))


def _parts(kind: str) -> tuple[str, str, str | None]:
    match = _SHAPE.fullmatch(kind)
    if match is None:
        raise ValueError(f"{kind!r} does not name a class: write package.module:Class")
    return match["module"], match["name"], match["digest"]


def _source(module: str, folder: Path | None) -> tuple[Path, Path | None]:
    """The module's source file, and the folder if it lies below it."""
    if folder is not None:
        path = folder.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file.resolve(), folder.resolve()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        where = f"below {folder} nor " if folder is not None else ""
        raise ValueError(
            f"there is no module {module!r} {where and 'neither '}{where}among what is installed"
        )
    return Path(found.origin).resolve(), None


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()[:12]


def _import(kind: str) -> type[Any]:
    module, name, _ = _parts(kind)
    source, below = _source(module, _folders[kind])
    _make_way(kind, module, source, below)
    with _searched_first(below):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:
            raise ValueError(f"embedder.kind {kind}: importing {source} failed: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"embedder.kind {kind}: {source} has no class {name}")
    lacking = [method for method in _STATED if not callable(getattr(found, method, None))]
    if lacking:
        raise ValueError(
            f"embedder.kind {kind}: the class does not state {' and '.join(lacking)}; see "
            f"docs/guide_embedder.md for what it needs"
        )
    return found


def _make_way(kind: str, module: str, source: Path, below: Path | None) -> None:
    """Forget an earlier version of a user's module, or another study's; never someone else's."""
    top = module.partition(".")[0]
    if below is None:
        stale = [module] if top in _imported else []
    else:
        stale = [name for name in sys.modules if f"{name}.".startswith(f"{top}.")]
        if stale and top not in _imported and not _lies_below(sys.modules[top], below):
            raise ValueError(
                f"embedder.kind {kind}: another module is called {top!r} ({sys.modules[top]}): "
                f"rename {source}"
            )
    for name in stale:
        sys.modules.pop(name, None)
    _imported.add(top)


def _lies_below(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(place is not None and Path(place).is_relative_to(folder) for place in places)


@contextmanager
def _searched_first(folder: Path | None) -> Iterator[None]:
    """Let an import find the study's own modules."""
    if folder is None:
        yield
        return
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
