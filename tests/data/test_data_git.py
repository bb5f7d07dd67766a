"""git-activity: small histories made here against hand-worked tables, and the mirror's counts."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.engine import engine, view
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import git_activity, git_tables
from behavior_scaling.data.sources.git_log import commits, open_clone
from behavior_scaling.data.sources.git_tables import EVENTS, ITEMS, extension, is_bot

ANN, BOB = "Ann <ann@example.org>", "Bob <BOB@example.org>"
START = 1_000_000_000
Content = bytes | str | None


class Repository:
    """A repository that tests write commits into; a time is seconds after START."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "someone")
        self.git("config", "user.email", "else@example.org")

    def git(self, *arguments: str, **more: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **more}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, check=True, capture_output=True
        )
        return done.stdout.decode()

    def commit(self, author: str, time: int, files: Mapping[str | bytes, Content]) -> None:
        """Write (None: remove) files and commit them; the committer comes a day later."""
        for name, content in files.items():
            file = os.path.join(os.fsencode(self.path), os.fsencode(name))
            if content is None:
                os.unlink(file)
                continue
            os.makedirs(os.path.dirname(file), exist_ok=True)
            Path(os.fsdecode(file)).write_bytes(os.fsencode(content))
        self.git("add", "--all")
        later = f"{START + time + 86_400} +0000"
        self.git("commit", "--quiet", "--allow-empty", "--author", author, "-m", "change",
                 "--date", f"{START + time} +0200", GIT_COMMITTER_DATE=later)  # fmt: skip


def tables(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return pq.read_table(folder / EVENTS).to_pylist(), pq.read_table(folder / ITEMS).to_pylist()


def fetch(cache: Path, *clones: Path) -> Path:
    config = DataConfig(source="git-activity", clones=tuple(str(clone) for clone in clones))
    return sources.get(config).fetch(cache, None)


def touched(folder: Path) -> list[tuple[str, str]]:
    """Repository and path of every event, in order."""
    events, items = tables(folder)
    return [(items[e["item_id"]]["repo"], items[e["item_id"]]["path"]) for e in events]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Repository:
    """Four commits of two people; the second person's come between the first's."""
    made = Repository(tmp_path_factory.mktemp("template") / "project")
    made.commit(ANN, 0, {"src/b.py": "12345", "README": "1"})
    made.commit(BOB, 50, {"src/a.PY": "123"})
    made.commit(ANN, 100, {"src/b.py": "1234567", "src/a.PY": None})
    made.commit("Robert <bob@EXAMPLE.org>", 150, {"src/b.py": ""})
    return made


@pytest.fixture
def repository(tmp_path: Path, template: Repository) -> Repository:
    """A copy of the template of the test's own."""
    made = copy(template)
    made.path = Path(shutil.copytree(template.path, tmp_path / "project", symlinks=True))
    return made


def test_a_history_becomes_the_table_worked_by_hand(tmp_path: Path, repository: Repository) -> None:
    events, items = tables(fetch(tmp_path / "cache", repository.path))

    assert [tuple(item.values()) for item in items] == [
        (0, "project", "README", "", "", 0),
        (1, "project", "src/b.py", "py", "src", 1),
        (2, "project", "src/a.PY", "py", "src", 1),
    ]
    ann, bob = events[0]["user_id"], events[2]["user_id"]
    assert {ann, bob} == {0, 1}
    assert [tuple(event.values()) for event in events] == [
        (ann, 0, START, "A", -1, 1, 2, 0),
        (ann, 1, START, "A", -1, 5, 2, 0),
        (bob, 2, START + 50, "A", -1, 3, 1, 1),
        (ann, 2, START + 100, "D", 3, -1, 2, 2),
        (ann, 1, START + 100, "M", 5, 7, 2, 2),
        (bob, 1, START + 150, "M", 7, 0, 1, 3),
    ]


def test_two_clones_are_merged_by_time_and_a_person_is_one_user(
    tmp_path: Path, repository: Repository
) -> None:
    other = Repository(tmp_path / "other")
    other.commit(ANN, 25, {"README": "other"})
    other.git("remote", "add", "origin", "https://token@host.example/owner/thing.git")

    folder = fetch(tmp_path / "cache", repository.path, other.path)

    assert touched(folder)[:4] == [
        ("project", "README"), ("project", "src/b.py"), ("owner/thing", "README"),
        ("project", "src/a.PY"),
    ]  # fmt: skip
    events, _ = tables(folder)
    assert events[2]["user_id"] == events[0]["user_id"]
    assert [event["commit_id"] for event in events[:4]] == [0, 0, 1, 2]


def test_names_and_addresses_are_written_nowhere(tmp_path: Path, repository: Repository) -> None:
    fetch(tmp_path / "cache", repository.path)

    written = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(path.name for path in written) == [EVENTS, ITEMS, "pseudonyms.key"]
    for path in written:
        content = path.read_bytes().lower()
        assert not any(word in content for word in (b"ann", b"bob", b"robert", b"example.org"))
    key = tmp_path / "cache" / "git-activity" / "pseudonyms.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_numbers_follow_the_cache_s_key_alone(tmp_path: Path, monkeypatch) -> None:
    made = Repository(tmp_path / "project")
    for n in range(5):
        made.commit(f"P <person{n}@example.org>", n, {"file": str(n)})

    def users(cache: str) -> list[int]:
        return [event["user_id"] for event in tables(fetch(tmp_path / cache, made.path))[0]]

    monkeypatch.setattr(git_activity.secrets, "token_bytes", lambda n: b"1" * n)
    first = users("one")
    assert sorted(first) == list(range(5))
    monkeypatch.setattr(git_activity.secrets, "token_bytes", lambda n: b"2" * n)
    shutil.rmtree(fetch(tmp_path / "one", made.path))
    assert users("one") == first
    assert users("two") != first


def test_tables_are_kept_until_a_clone_changes(tmp_path: Path, repository: Repository) -> None:
    first = fetch(tmp_path / "cache", repository.path)
    assert fetch(tmp_path / "cache", repository.path) == first
    repository.commit(ANN, 200, {"new": "file"})
    second = fetch(tmp_path / "cache", repository.path)

    assert second != first
    assert len(tables(second)[0]) == len(tables(first)[0]) + 1


def test_an_interrupted_derivation_leaves_no_tables(
    tmp_path: Path, repository: Repository, monkeypatch
) -> None:
    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(git_tables, "_write_tables", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "cache", repository.path)

    kept = [path.name for path in (tmp_path / "cache" / "git-activity").iterdir()]
    assert kept == ["pseudonyms.key"]


def test_merges_bots_large_commits_and_impossible_times_are_left_out(
    tmp_path: Path, repository: Repository, capsys
) -> None:
    repository.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    repository.commit(BOB, 160, {"side": "1"})
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    many: dict[str | bytes, Content] = {f"many/{n}": "x" for n in range(31)}
    repository.commit(ANN, 170, many)
    repository.commit(ANN, 180, {f"many/{n}": "y" for n in range(30)})
    repository.commit("renovate[bot] <29139614+renovate[bot]@example.org>", 190, {"lock": "1"})
    repository.commit(ANN, 3_000_000_000, {"future": "1"})
    repository.commit(ANN, 200, {})

    events, _ = tables(folder := fetch(tmp_path / "cache", repository.path))

    names = [path for _, path in touched(folder)]
    assert names[6] == "side"
    assert len(names) == 7 + 30
    assert {event["n_files"] for event in events[7:]} == {30}
    assert events[7]["action"] == "M"  # the commit that added the file was too large
    assert capsys.readouterr().err == (
        "git-activity: project: 6 commits, left out: 1 of bots, 1 of impossible times, 1 of more "
        "than 30 files\n"
    )


def test_odd_names_of_files_and_people_are_only_names(tmp_path: Path) -> None:
    made = Repository(tmp_path / "odd")
    header = f":100644 100644 {'1' * 40} {'2' * 40} M"
    odd: list[str | bytes] = ["\nfirst", "a\nb\t\"c'", b"caf\xe9", b"caf\\xe9", header, "ü.tar.gz"]
    made.commit(f"{header} <x@example.org>", 0, dict.fromkeys(odd, "1"))

    _, items = tables(fetch(tmp_path / "cache", made.path))

    assert sorted(item["path"] for item in items) == sorted(
        ["\nfirst", "a\nb\t\"c'", "caf\\xe9", "caf\\xe9", header, "ü.tar.gz"]
    )
    by_bytes = sorted(os.fsencode(name) for name in odd)
    assert [item["path"] for item in items] == [
        name.decode("utf-8", "backslashreplace") for name in by_bytes
    ]
    assert next(item["ext"] for item in items if item["path"].startswith("ü")) == "gz"


def test_a_long_history_is_read_in_pieces(
    tmp_path: Path, repository: Repository, monkeypatch
) -> None:
    whole = list(commits(open_clone(repository.path), 30))
    monkeypatch.setattr("behavior_scaling.data.sources.git_log._PIECE", 1)
    monkeypatch.setattr(git_tables, "_BATCH", 2)

    assert list(commits(open_clone(repository.path), 30)) == whole
    assert len(tables(fetch(tmp_path / "cache", repository.path))[0]) == 6


def test_a_submodule_and_a_change_of_type(tmp_path: Path, repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD").strip()
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},module")
    repository.git("commit", "--quiet", "-m", "submodule")
    (repository.path / "README").unlink()
    (repository.path / "README").symlink_to("src/b.py")
    repository.git("add", "README")
    repository.git("commit", "--quiet", "-m", "link")

    events, items = tables(fetch(tmp_path / "cache", repository.path))

    assert "module" not in {item["path"] for item in items}
    assert [events[-1][name] for name in ("action", "old_size", "new_size")] == ["T", 1, 8]


def test_settings_of_the_clone_run_nothing_and_change_nothing(
    tmp_path: Path, repository: Repository
) -> None:
    expected = touched(fetch(tmp_path / "cache", repository.path))
    for name in ("core.fsmonitor", "core.pager", "diff.external", "gpg.program"):
        repository.git("config", name, f"touch {tmp_path}/ran; false")
    for name in ("log.showSignature", "color.ui", "diff.relative"):
        repository.git("config", name, "always" if name == "color.ui" else "true")
    repository.git("config", "log.showRoot", "false")
    repository.git("config", "diff.renames", "copies")

    assert touched(fetch(tmp_path / "other cache", repository.path)) == expected
    assert not (tmp_path / "ran").exists()


def test_the_environment_does_not_point_at_another_repository(
    tmp_path: Path, repository: Repository, monkeypatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert len(touched(fetch(tmp_path / "cache", repository.path))) == 6


def test_a_bare_and_a_shallow_clone_are_read(
    tmp_path: Path, repository: Repository, capsys
) -> None:
    address = f"file://{repository.path}"
    repository.git("clone", "--quiet", "--bare", address, str(tmp_path / "bare.git"))
    repository.git("clone", "--quiet", "--depth=2", address, str(tmp_path / "shallow"))

    assert len(touched(fetch(tmp_path / "cache", tmp_path / "bare.git"))) == 6
    assert "shallow" not in capsys.readouterr().err
    cut = touched(fetch(tmp_path / "cache", tmp_path / "shallow"))
    assert cut == [("shallow", "README"), ("shallow", "src/b.py"), ("shallow", "src/b.py")]
    assert "shallow: 2 commits, left out: none; its history is cut" in capsys.readouterr().err


def test_what_is_no_whole_clone_is_refused(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "folder").mkdir()
    Repository(tmp_path / "empty")
    address = f"file://{repository.path}"
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("clone", "--quiet", "--filter=blob:none", address, str(tmp_path / "partial"))
    for path, message in {
        tmp_path / "absent": "absent: no such folder; name a git clone",
        tmp_path / "folder": "folder: is not a git clone",
        tmp_path / "empty": "empty: has no commit",
        tmp_path / "partial": "partial: is a partial clone, which lacks file contents",
        repository.path / "src": "src: lies inside the clone of",
    }.items():
        with pytest.raises(DataError, match=message):
            fetch(tmp_path / "cache", path)
    with pytest.raises(DataError, match=r"project: is called project, as .*project is; leave one"):
        fetch(tmp_path / "cache", repository.path, repository.path)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_clone_is_refused_whole(tmp_path: Path, repository: Repository) -> None:
    blob = repository.git("rev-parse", "HEAD~1:src/b.py").strip()
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DataError, match=f"project: object {blob} is missing; see git fsck"):
        fetch(tmp_path / "cache", repository.path)

    tree = repository.git("rev-parse", "HEAD~1^{tree}").strip()
    (repository.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(DataError, match=r"project: git log failed \(exit \d+\): .*" + tree):
        fetch(tmp_path / "cache", repository.path)

    assert [p.name for p in (tmp_path / "cache/git-activity").iterdir()] == ["pseudonyms.key"]


def test_without_git_the_error_says_so(tmp_path: Path, repository: Repository, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="git was not found; install it"):
        fetch(tmp_path / "cache", repository.path)


def test_a_spoilt_key_is_named(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "git-activity").mkdir()
    (tmp_path / "git-activity" / "pseudonyms.key").write_text("short")
    with pytest.raises(DataError, match=r"pseudonyms\.key: is no key of 32 bytes"):
        fetch(tmp_path, repository.path)


@pytest.mark.parametrize(
    ("name", "email", "bot"),
    [
        ("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.example", True),
        ("Renovate Bot", "x@example.org", True),
        ("someone", "github-actions@example.org", True),
        ("conan-center-bot", "x@example.org", True),
        ("Jim Talbot", "jim.talbot@example.org", False),
        ("Bo Thorne", "both@example.org", False),
        ("Ann", "ann@robot.example.org", False),
        ("Ann", "ann@bot.example.org", False),
    ],
)
def test_bots_are_known_by_name_or_address(name: str, email: str, bot: bool) -> None:
    assert is_bot(name, email) is bot


@pytest.mark.parametrize(
    ("path", "ext"),
    [("a/b.PY", "py"), ("a.b/c", ""), (".gitignore", ""), ("x/..py", ""), ("a.tar.gz", "gz"),
     ("name.", ""), ("v1.configuration", "")],
)  # fmt: skip
def test_an_extension_is_short_and_follows_a_name(path: str, ext: str) -> None:
    assert extension(path) == ext


def load(raw: Path, work: Path, select: str) -> Sequence[tuple[Any, ...]]:
    found = sources.get(DataConfig(source="git-activity")).load(raw, work)
    with engine(work, threads=1) as connection:
        view(connection, "events", found.events)
        assert found.items is not None
        view(connection, "items", found.items)
        rows: list[tuple[Any, ...]] = connection.sql(select).fetchall()
    return rows


def test_the_tables_become_canonical(tmp_path: Path, repository: Repository) -> None:
    raw = fetch(tmp_path / "cache", repository.path)

    events = load(raw, tmp_path, "SELECT * EXCLUDE (line, user_id) FROM events ORDER BY line")
    items = load(raw, tmp_path, "SELECT * EXCLUDE (line) FROM items ORDER BY line")

    assert events[0] == (0, START, 0, "A", None, 1, 2)
    assert events[3] == (2, START + 100, 2, "D", 3, None, 2)
    assert items[:2] == [
        (0, "project", None, None, 0, "README"), (1, "project", "py", "src", 1, "src/b.py"),
    ]  # fmt: skip


def test_without_clones_or_mirror_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no clones and no prepared tables\. Name git clones in"):
        fetch(tmp_path)
    (tmp_path / EVENTS).write_text("altered")
    (tmp_path / ITEMS).write_text("altered")
    with pytest.raises(DataError, match=r"git_activity_events\.parquet: has SHA-256"):
        sources.get(DataConfig(source="git-activity")).fetch(tmp_path / "cache", tmp_path)


def test_the_mirror_holds_the_events_users_and_items_that_are_stated(tmp_path: Path) -> None:
    folder = sources.mirror_folder()
    if folder is None or not all((folder / name).is_file() for name in (EVENTS, ITEMS)):
        pytest.skip(f"{EVENTS} and {ITEMS} are in no BEHAVIOR_SCALING_MIRROR")
    raw = sources.get(DataConfig(source="git-activity")).fetch(tmp_path / "cache", folder)

    assert sorted(path.name for path in raw.iterdir()) == [EVENTS, ITEMS]
    info = git_activity.GitActivity.info
    counted = load(
        raw,
        tmp_path,
        "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id) FROM events",
    )
    assert counted == [(1_920_891, 40_997, 261_890)]
    assert counted == [(info.n_events, info.n_users, info.n_items)]
    assert load(raw, tmp_path, "SELECT count(*), count(DISTINCT item_id) FROM items") == [
        (261_890, 261_890)
    ]
    assert load(raw, tmp_path, "SELECT count(*) FROM events ANTI JOIN items USING (item_id)") == [
        (0,)
    ]


def test_only_the_prepared_tables_have_known_counts() -> None:
    own = git_activity.GitActivity(DataConfig(source="git-activity", clones=(".",))).info

    assert (own.n_events, own.n_users, own.n_items) == (None, None, None)
    assert git_activity.GitActivity(DataConfig(source="git-activity")).info.n_items == 261_890
