"""Copies of backups elsewhere: in object storage or whatever else fsspec has a URL for (SPEC E9).

```
<url>/<backup id>/manifest.jsonl     comes last: a copy without it is none
<url>/<backup id>/<archive>
<url>/objects/<aa>/<sha256>          the files of trees, by their content: each is stored once
```
An object's name is a hash, so names that a store would not take do not matter, and what trees share
is not sent twice. Each copy is read back and held against its hash before it gets its name.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maintenance import progress
from maintenance.durable import sync_directory
from maintenance.errors import RemoteError
from maintenance.layout import BACKUP_ID, MANIFEST_NAME, partial_directory, publish
from maintenance.manifest import Manifest
from maintenance.streams import CHUNK_BYTES, HashingSink
from maintenance.tree import READ_ONLY
from retention.files import printable
from retention.rooted import DIRECTORY, Descent

SETTING = "OPS_BACKUP_COPY_URL"
ARRIVING = ".arriving"
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Remote:
    """The place that a URL names; everything it does raises RemoteError."""

    def __init__(self, url: str) -> None:
        with _told("be used"):
            self._store, self._root = _store_of(url)

    def backup_ids(self) -> list[str]:
        """Return the ids of the backups that are there whole, in the order of their chain."""
        with _told("be listed"):
            if not self._store.exists(self._root):
                return []
            self._store.invalidate_cache()
            paths = self._store.ls(self._root, detail=False)
            names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
            ids = sorted(name for name in names if BACKUP_ID.fullmatch(name))
            return [name for name in ids if self._store.exists(self._of(name, MANIFEST_NAME))]

    def put(self, manifest: Manifest) -> int:
        """Copy a backup there; return how many bytes that took. What is there already is kept."""
        progress.begin("copying", manifest.totals.total_bytes)
        backup_id = manifest.path.parent.name
        with _told(f"take {backup_id}"):
            archive = manifest.totals.stored.archive
            if archive is not None:
                there = self._of(backup_id, archive.name)
                sent = self._send(manifest.content_path, there, archive.sha256)
                progress.advance(manifest.totals.total_bytes)
            else:
                sent = self._put_tree(manifest)
            return sent + self._send(
                manifest.path, self._of(backup_id, MANIFEST_NAME), manifest.sha256
            )

    def fetch(self, backup_id: str, backup_root: Path) -> Path:
        """Bring a backup back, whole or not at all; return its directory, still to be verified."""
        if not BACKUP_ID.fullmatch(backup_id):
            raise RemoteError(f"{backup_id!r} is no id of a backup")
        with _told(f"give {backup_id}"), partial_directory(backup_root, backup_id) as partial:
            there = self._of(backup_id, MANIFEST_NAME)
            if not self._store.exists(there):
                raise RemoteError(f"no backup {backup_id} is among the copies")
            self._receive(there, partial / MANIFEST_NAME)
            manifest = Manifest.read(partial / MANIFEST_NAME)
            progress.begin("fetching", manifest.totals.total_bytes)
            archive = manifest.totals.stored.archive
            if archive is not None:
                self._receive(self._of(backup_id, archive.name), partial / archive.name)
            else:
                self._fetch_tree(manifest)
            sync_directory(partial)
            return publish(partial, backup_id)

    def _put_tree(self, manifest: Manifest) -> int:
        sent = 0
        for file in manifest.files():
            live = manifest.content_path / file.path
            sent += self._send(live, self._object(file.sha256), file.sha256)
            progress.advance(file.found.size_bytes)
        return sent

    def _fetch_tree(self, manifest: Manifest) -> None:
        (manifest.content_path).mkdir(mode=0o700)
        root = os.open(manifest.content_path, DIRECTORY)
        try:
            with Descent(root, make=True, leave=os.fsync) as descent:
                for file in manifest.files():
                    parent, name = descent.parent_of(file.path)
                    with os.fdopen(os.open(name, NEW_FILE, READ_ONLY, dir_fd=parent), "wb") as copy:
                        for chunk in self._chunks(self._object(file.sha256)):
                            copy.write(chunk)
                        copy.flush()
                        times = (file.found.mtime_ns, file.found.mtime_ns)
                        os.utime(copy.fileno(), ns=times)
                        os.fsync(copy.fileno())
                    progress.advance(file.found.size_bytes)
                descent.finish()
            os.fsync(root)
        finally:
            os.close(root)

    def _send(self, file: Path, there: str, sha256: str) -> int:
        """Send a file that is not there yet, and read it back; return how many bytes that were."""
        if self._store.exists(there) and self._store.size(there) == file.stat().st_size:
            return 0
        self._store.makedirs(there.rpartition("/")[0], exist_ok=True)
        arriving = f"{there}{ARRIVING}"
        self._store.put_file(str(file), arriving)
        digest = hashlib.sha256()
        for chunk in self._chunks(arriving):
            digest.update(chunk)
        if digest.hexdigest() != sha256:
            self._store.rm_file(arriving)
            raise RemoteError(f"{printable(str(file))!r} did not arrive as it is: copy it again")
        self._store.mv(arriving, there)
        return file.stat().st_size

    def _receive(self, there: str, file: Path) -> None:
        sink = HashingSink(file)
        try:
            for chunk in self._chunks(there):
                sink.write(chunk)
            sink.seal()
        finally:
            sink.abandon()

    def _chunks(self, there: str) -> Iterator[bytes]:
        with self._store.open(there, "rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk

    def _of(self, backup_id: str, name: str) -> str:
        return f"{self._root}/{backup_id}/{name}"

    def _object(self, sha256: str) -> str:
        return f"{self._root}/objects/{sha256[:2]}/{sha256}"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell whatever a store raises, and each raises its own, as our error."""
    try:
        yield
    except RemoteError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RemoteError(f"the place of {SETTING} cannot {what} ({reason})") from error


def _store_of(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 an extra
    except ImportError as error:
        raise RemoteError(
            "copies elsewhere need fsspec: `uv sync --extra remote`, or `pip install fsspec s3fs`"
        ) from error
    store, path = url_to_fs(url)
    return store, str(path).rstrip("/")
