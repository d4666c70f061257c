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
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from maintenance import progress
from maintenance.durable import make_directory, sync_directory
from maintenance.errors import RemoteError
from maintenance.layout import BACKUP_ID, MANIFEST_NAME, partial_directory, publish
from maintenance.manifest import Manifest
from maintenance.streams import CHUNK_BYTES, HashingSink, write_new
from maintenance.tree import PRIVATE, READ_ONLY
from retention.files import printable
from retention.rooted import DIRECTORY, NEW_FILE, Descent

SETTING = "OPS_BACKUP_COPY_URL"
ARRIVING = ".arriving"


class Remote:
    """The place that a URL names; everything it does raises RemoteError."""

    def __init__(self, url: str) -> None:
        with _told("be used"):
            self._store, self._root = _store_of(url)
        self._is_a_disk = "file" in self._store.protocol

    def backup_ids(self) -> list[str]:
        """Return the ids of the backups that are there whole, in the order of their chain."""
        ids = sorted(self.begun_ids())
        with _told("be listed"):
            return [name for name in ids if self._store.exists(self._of(name, MANIFEST_NAME))]

    def begun_ids(self) -> set[str]:
        """Return the ids of the backups of which something is there, in one look."""
        with _told("be listed"):
            self._store.invalidate_cache()
            if not self._store.exists(self._root):
                return set()
            paths = self._store.ls(self._root, detail=False)
            names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
            return {name for name in names if BACKUP_ID.fullmatch(name)}

    def require_apart(self, backup_root: Path) -> None:
        """Raise RemoteError if the place is the backup root itself, or lies in it."""
        place = Path(self._root).resolve() if self._is_a_disk else None
        if place is not None and backup_root in (place, *place.parents):
            raise RemoteError(
                f"{SETTING} leads into the backup root {str(backup_root)!r}: name another place"
            )

    def put(self, manifest: Manifest) -> int:
        """Copy a backup there; return how many bytes that took. What is there already is kept."""
        progress.begin("copying", manifest.totals.total_bytes)
        backup_id = manifest.path.parent.name
        with _told(f"take {backup_id}"):
            archive = manifest.totals.stored.archive
            if archive is not None:
                there = self._of(backup_id, archive.name)
                sent = self._send(manifest.content_path, there, archive.sha256, trusting=False)
                progress.advance(manifest.totals.total_bytes)
            else:
                sent = self._put_tree(manifest)
            there = self._of(backup_id, MANIFEST_NAME)
            return sent + self._send(manifest.path, there, manifest.sha256, trusting=False)

    def fetch(self, backup_id: str, backup_root: Path) -> Path:
        """Bring a backup back, whole or not at all; return its directory, still to be verified."""
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
        (manifest.content_path).mkdir(mode=PRIVATE)
        root = os.open(manifest.content_path, DIRECTORY)
        try:
            with Descent(root, make=PRIVATE, leave=os.fsync) as descent:
                for file in manifest.files():
                    parent, name = descent.parent_of(file.path)
                    with os.fdopen(os.open(name, NEW_FILE, READ_ONLY, dir_fd=parent), "wb") as copy:
                        write_new(copy, self._chunks(self._object(file.sha256)))
                        times = (file.found.mtime_ns, file.found.mtime_ns)
                        os.utime(copy.fileno(), ns=times)
                        os.fsync(copy.fileno())
                    progress.advance(file.found.size_bytes)
                descent.finish()
            os.fsync(root)
        finally:
            os.close(root)

    def _send(self, file: Path, there: str, sha256: str, *, trusting: bool = True) -> int:
        """Send a file that is not there yet, and read it back; return how many bytes that were.

        What is there is believed by its size if one is `trusting`, else by its bytes.
        """
        if self._store.exists(there) and self._store.size(there) == file.stat().st_size:
            with suppress(RemoteError):
                if not trusting:
                    self._require_whole(there, sha256, file)
                return 0
        arriving = f"{there}.{secrets.token_hex(4)}{ARRIVING}"  # others may be sending it as well
        self._make_place_for(there)
        try:
            self._store.put_file(str(file), arriving)
            self._settle(arriving)
            self._require_whole(arriving, sha256, file)
            self._store.mv(arriving, there)
            self._settle(there)
        except BaseException:
            with suppress(Exception):
                self._store.rm_file(arriving)
            raise
        return file.stat().st_size

    def _require_whole(self, there: str, sha256: str, file: Path) -> None:
        digest = hashlib.sha256()
        for chunk in self._chunks(there):
            digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise RemoteError(f"{printable(str(file))!r} did not arrive as it is: copy it again")

    def _make_place_for(self, there: str) -> None:
        directory = there.rpartition("/")[0]
        if self._is_a_disk:
            make_directory(Path(directory))
        else:
            self._store.makedirs(directory, exist_ok=True)

    def _settle(self, there: str) -> None:
        """Bring a file and its name to the disk, where the place is one; others do that before."""
        if self._is_a_disk:
            with Path(there).open("rb") as file:
                os.fsync(file.fileno())
            sync_directory(Path(there).parent)

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
