"""Downloads from a server on this machine: whole, resumed, truncated, altered, refused, noted."""

from __future__ import annotations

import fcntl
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import resume
from behavior_scaling.data.sources.download import expect, find_in_mirror, retrieve

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server sends, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    validators: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    cuts: list[int] = field(default_factory=list)  # bytes after which an answer breaks off
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    shift: int = 0  # bytes by which it misses the range asked for


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    state = Server()
    monkeypatch.setattr(resume, "PAUSE", 0.0)
    monkeypatch.setattr(resume, "CHUNK", 50)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted, since = self.headers.get("Range"), self.headers.get("If-Range")
            state.asked.append((wanted, since))
            if state.status != 200:
                self.send_error(state.status)
                return
            begin = 0
            if wanted and since in state.validators.values():
                begin = int(wanted.removeprefix("bytes=").removesuffix("-")) + state.shift
                if begin >= len(state.content):
                    self.send_error(416)
                    return
            self.send_response(206 if begin else 200)
            if begin:
                last = len(state.content)
                self.send_header("Content-Range", f"bytes {begin}-{last - 1}/{last}")
            self.send_header("Content-Length", str(len(state.content) - begin))
            for name, value in state.validators.items():
                self.send_header(name, value)
            self.end_headers()
            cut = state.cuts.pop(0) if state.cuts else len(state.content)
            self.wfile.write(state.content[begin : begin + cut])

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/file.bin"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def get(server: Server, folder: Path, sha256: str | None = SHA256) -> Path:
    return retrieve("a-source", server.url, sha256, folder, "kept.bin")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_download_is_verified_and_kept(tmp_path: Path, server: Server) -> None:
    first = get(server, tmp_path / "new" / "folder")
    again = get(server, tmp_path / "new" / "folder")

    assert first == again == tmp_path / "new" / "folder" / "kept.bin"
    assert first.read_bytes() == CONTENT
    assert names(first.parent) == ["kept.bin"]
    assert server.asked == [(None, None)]


def test_a_damaged_file_is_downloaded_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / "kept.bin").write_bytes(CONTENT[:-1])

    assert get(server, tmp_path).read_bytes() == CONTENT


def test_another_content_is_refused_and_not_kept(tmp_path: Path, server: Server) -> None:
    server.content = CONTENT[::-1]
    actual = hashlib.sha256(server.content).hexdigest()

    with pytest.raises(DataError, match=rf"(?s)a-source: http.*{actual}.*put kept\.bin into"):
        get(server, tmp_path)

    assert names(tmp_path) == []


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path, server: Server) -> None:
    server.cuts = [1000, 500]

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [(None, None), ("bytes=1000-", '"one"'), ("bytes=1500-", '"one"')]


def test_a_later_call_resumes_what_an_earlier_one_left(tmp_path: Path, server: Server) -> None:
    server.cuts = [100] * resume.ATTEMPTS
    with pytest.raises(DataError, match="BEHAVIOR_SCALING_MIRROR"):
        get(server, tmp_path)
    assert names(tmp_path) == [".kept.bin.part", ".kept.bin.part.json"]
    assert (tmp_path / ".kept.bin.part").read_bytes() == CONTENT[: 100 * resume.ATTEMPTS]
    server.asked.clear()

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [(f"bytes={100 * resume.ATTEMPTS}-", '"one"')]
    assert names(tmp_path) == ["kept.bin"]


def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path: Path, server: Server) -> None:
    server.cuts = [100] * resume.ATTEMPTS
    with pytest.raises(DataError):
        get(server, tmp_path)
    server.content, server.validators = CONTENT[::-1], {"ETag": '"two"'}

    file = get(server, tmp_path, hashlib.sha256(CONTENT[::-1]).hexdigest())

    assert file.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("validators", "sent"),
    [
        ({"ETag": 'W/"weak"', "Last-Modified": "Sun, 01 Jan 2023 00:00:00 GMT"}, "Sun, 01"),
        ({"ETag": 'W/"weak"'}, None),
    ],
)
def test_only_a_strong_validator_lets_a_download_resume(
    tmp_path: Path, server: Server, validators: dict[str, str], sent: str | None
) -> None:
    server.validators, server.cuts = validators, [100]

    assert get(server, tmp_path).read_bytes() == CONTENT
    if sent is None:
        assert server.asked[1] == (None, None)
    else:
        assert server.asked[1][0] == "bytes=100-"
        assert str(server.asked[1][1]).startswith(sent)


def test_a_partial_file_of_another_address_is_not_continued(tmp_path: Path, server: Server) -> None:
    (tmp_path / ".kept.bin.part").write_bytes(b"other")
    (tmp_path / ".kept.bin.part.json").write_text(
        json.dumps({"url": "http://elsewhere/file.bin", "validator": '"one"'})
    )

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [(None, None)]


def test_a_partial_file_too_long_is_dropped(tmp_path: Path, server: Server) -> None:
    (tmp_path / ".kept.bin.part").write_bytes(CONTENT + b"more")
    (tmp_path / ".kept.bin.part.json").write_text(
        json.dumps({"url": server.url, "validator": '"one"'})
    )

    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for_is_not_appended(tmp_path: Path, server: Server) -> None:
    server.cuts, server.shift = [100], 1

    with pytest.raises(DataError, match="asked for byte 100 on, got 'bytes 101-"):
        get(server, tmp_path)


def test_a_missing_file_is_asked_for_once(tmp_path: Path, server: Server) -> None:
    server.status = 404

    with pytest.raises(DataError, match=r"(?s)could not be downloaded: 404.*put kept\.bin into"):
        get(server, tmp_path)

    assert len(server.asked) == 1
    assert not (tmp_path / "kept.bin").exists()


def test_a_server_in_trouble_is_asked_a_few_times(tmp_path: Path, server: Server) -> None:
    server.status = 503

    with pytest.raises(DataError, match="503"):
        get(server, tmp_path)

    assert len(server.asked) == resume.ATTEMPTS


def test_no_server_is_a_data_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(resume, "PAUSE", 0.0)

    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/x: could not be"):
        retrieve("a-source", "http://127.0.0.1:9/x", None, tmp_path, "x")


def test_two_processes_do_not_write_one_file(tmp_path: Path, server: Server) -> None:
    with (tmp_path / ".kept.bin.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match=r"kept\.bin: .*another process is downloading it"):
            get(server, tmp_path)

    assert server.asked == []


def test_a_folder_that_is_a_file_is_a_data_error(tmp_path: Path, server: Server) -> None:
    (tmp_path / "taken").write_text("")

    with pytest.raises(DataError, match=r"taken.*could not be written"):
        get(server, tmp_path / "taken")


def test_an_unknown_checksum_is_noted_and_a_change_noticed(
    tmp_path: Path, server: Server, capfd
) -> None:
    file = get(server, tmp_path, None)
    assert f"a-source: kept.bin is unverified: nobody has noted its checksum yet; it has 10240 "\
        f"bytes and SHA-256 {SHA256}\n" == capfd.readouterr().err  # fmt: skip
    note = json.loads((tmp_path / "kept.bin.sha256.json").read_text())
    assert note == {"url": server.url, "bytes": 10240, "sha256": SHA256, "verified": False}

    assert get(server, tmp_path, None) == file
    assert capfd.readouterr().err == ""
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"kept\.bin: has SHA-256 .*, not " + SHA256):
        get(server, tmp_path, None)

    (tmp_path / "kept.bin.sha256.json").write_text("[]")
    with pytest.raises(DataError, match=r"kept\.bin\.sha256\.json: is not this package's note"):
        get(server, tmp_path, None)


def test_a_mirror_is_searched_in_order(tmp_path: Path) -> None:
    assert find_in_mirror(None, ["a"]) is None
    assert find_in_mirror(tmp_path, ["a", "b/c"]) is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("")
    (tmp_path / "a").mkdir()  # a folder is no file
    assert find_in_mirror(tmp_path, ["a", "b/c"]) == tmp_path / "b" / "c"


def test_a_file_is_expected_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    expect(tmp_path / "file", SHA256)
    with pytest.raises(DataError, match=f"file: has SHA-256 {SHA256}, not 00: corrupt or another"):
        expect(tmp_path / "file", "00")
    with pytest.raises(DataError, match="absent: cannot be read"):
        expect(tmp_path / "absent", SHA256)
