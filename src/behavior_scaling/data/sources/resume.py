"""A downloader for pooch that resumes: a partial file, its validator, and a few attempts.

Choices: the rest of a file is asked for with If-Range, which a server answers with the whole file
if it has changed; a server that gives no validator (a strong ETag or Last-Modified) is asked for
the whole file again. A lock on the partial file keeps two processes from writing one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any

import requests
from tqdm import tqdm

from behavior_scaling.files import write_text

ATTEMPTS = 4
PAUSE = 1.0  # seconds before the second attempt; twice as long before each further one
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 17  # bytes: the most that a broken connection loses


class Resuming:
    """Downloads a URL by way of a partial file that outlives a broken connection or process."""

    def __init__(self, part: Path, label: str) -> None:
        self._part = part
        self._validator = part.with_name(f"{part.name}.json")
        self._label = label

    def __call__(self, url: str, output_file: str, _pooch: Any, check_only: bool = False) -> None:
        """Write the whole of `url` to `output_file`; pooch's interface of a downloader.

        Raises:
            requests.RequestException: the last attempt failed; the partial file stays.
            OSError: the disk is full, or another process is downloading the same file.
        """
        with self._part.open("ab") as part:
            self._lock(part)
            self._complete(url, part)
            self._part.replace(output_file)
            self._validator.unlink(missing_ok=True)

    def _lock(self, part: IO[bytes]) -> None:
        """Keep other processes off the partial file, until it is closed."""
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(error.errno, "another process is downloading it") from None
        if not self._part.exists() or not os.path.samestat(
            os.fstat(part.fileno()), self._part.stat()
        ):
            raise OSError(errno.EBUSY, "another process has just downloaded it")

    def _complete(self, url: str, part: IO[bytes]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(url, part)
            except requests.RequestException as error:
                answer = error.response
                final = answer is not None and answer.status_code < 500
                if final or attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE * 2 ** (attempt - 1))

    def _attempt(self, url: str, part: IO[bytes]) -> None:
        """Ask for what is missing and append it; the file is whole on return."""
        headers = {"Accept-Encoding": "identity"}
        begun = part.seek(0, 2)
        validator = self._known_validator(url)
        if begun and validator:
            headers |= {"Range": f"bytes={begun}-", "If-Range": validator}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416 and "Range" in headers:  # no shorter than the whole
                self._validator.unlink()
                return self._attempt(url, part)
            answer.raise_for_status()
            if answer.status_code == 206:
                rest = answer.headers.get("Content-Range", "")
                if not rest.startswith(f"bytes {begun}-"):
                    raise requests.ConnectionError(f"asked for byte {begun} on, got {rest!r}")
            else:
                part.truncate(0)
                begun = part.seek(0)
                self._keep_validator(url, answer)
            missing = int(answer.headers.get("Content-Length", -1))
            self._append(answer, part, begun, missing)

    def _append(self, answer: requests.Response, part: IO[bytes], begun: int, missing: int) -> None:
        total = begun + missing if missing >= 0 else None
        with tqdm(
            total=total, initial=begun, unit="B", unit_scale=True, desc=self._label, disable=None
        ) as bar:
            for chunk in answer.iter_content(CHUNK):
                part.write(chunk)
                bar.update(len(chunk))
            part.flush()
        if total is not None and part.tell() != total:
            raise requests.ConnectionError(f"{part.tell()} of {total} bytes arrived")

    def _known_validator(self, url: str) -> str | None:
        """What the server called the file that the partial one began as, if it was this URL's."""
        try:
            kept = json.loads(self._validator.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return kept["validator"] if kept["url"] == url else None

    def _keep_validator(self, url: str, answer: requests.Response) -> None:
        tag = answer.headers.get("ETag", "")
        strong = tag if tag and not tag.startswith("W/") else None
        validator = strong or answer.headers.get("Last-Modified")
        write_text(self._validator, json.dumps({"url": url, "validator": validator}))
