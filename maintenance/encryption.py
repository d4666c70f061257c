"""Encrypts archives with age, for whoever has the key file that the operator names.

pyrage pulls what it encrypts from a file and pushes it into another; between that and our writers
stands a pipe, with a thread at one end of it.
"""

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from maintenance.errors import EncryptionError

SUFFIX = ".age"
SETTING = "OPS_BACKUP_AGE_KEY_FILE"
KEY = "AGE-SECRET-KEY-"


class Key:
    """The identities of a key file, as `age-keygen` writes it; raises EncryptionError."""

    def __init__(self, file: Path) -> None:
        self._pyrage = _pyrage()
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise EncryptionError(f"{SETTING}={str(file)!r} cannot be read: {error}") from error
        try:
            self._identities = [
                self._pyrage.x25519.Identity.from_str(line.strip())
                for line in lines
                if line.startswith(KEY)
            ]
        except self._pyrage.IdentityError:  # its text may quote the key
            raise EncryptionError(f"{SETTING}={str(file)!r} holds a key that is none") from None
        if not self._identities:
            raise EncryptionError(f"{SETTING}={str(file)!r} has no line {KEY}…: use age-keygen")

    def encrypting(self, sink: io.RawIOBase) -> "EncryptingSink":
        """Return what takes bytes and writes them encrypted into `sink`."""
        recipients = [identity.to_public() for identity in self._identities]

        def encrypt(source: IO[bytes]) -> None:
            told = _Told(sink)
            try:
                self._pyrage.encrypt_io(source, told, recipients)
            except (OSError, self._pyrage.EncryptError) as error:
                raise told.error or error from error

        return EncryptingSink(encrypt)

    def decrypting(self, source: io.RawIOBase) -> "DecryptingSource":
        """Return what gives the bytes that `source` holds encrypted."""

        def decrypt(sink: IO[bytes]) -> None:
            self._pyrage.decrypt_io(source, sink, self._identities)

        return DecryptingSource(decrypt)


def current_key() -> Key | None:
    """Return the key of the setting, None without one; raise EncryptionError."""
    file = settings.OPS_BACKUP_AGE_KEY_FILE
    return Key(file) if file else None


def require_key() -> Key:
    """Return the key of the setting; raise EncryptionError, also without one."""
    key = current_key()
    if key is None:
        raise EncryptionError(f"the archive is encrypted: name the file of its key in {SETTING}")
    return key


class EncryptingSink(io.RawIOBase):
    """Takes bytes; `close` waits until all of them are through, and raises what went wrong."""

    def __init__(self, encrypt: Callable[[IO[bytes]], None]) -> None:
        super().__init__()
        reading, writing = os.pipe()
        self._into = os.fdopen(writing, "wb")
        self._work = _Work(encrypt, os.fdopen(reading, "rb"))

    def writable(self) -> bool:
        """Say yes, as the io protocol wants it."""
        return True

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # typeshed's Buffer
        """Write all of `data`; raise what went wrong at the other end."""
        try:
            return self._into.write(data)
        except BrokenPipeError:
            self._work.finish()
            raise

    def close(self) -> None:
        """End it, once."""
        if self.closed:
            return
        try:
            self._into.close()
        except BrokenPipeError:
            pass  # the work says why
        finally:
            super().close()
            self._work.finish()


class DecryptingSource(io.RawIOBase):
    """Gives the decrypted bytes; raises EncryptionError at their end where they are not whole."""

    def __init__(self, decrypt: Callable[[IO[bytes]], None]) -> None:
        super().__init__()
        reading, writing = os.pipe()
        self._from = os.fdopen(reading, "rb")
        self._work = _Work(decrypt, os.fdopen(writing, "wb"))

    def readable(self) -> bool:
        """Say yes, as the io protocol wants it."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b'' at the end of all of them."""
        data = self._from.read(size)
        if not data and size:
            self._work.finish()
        return data

    def close(self) -> None:
        """Let go of it; the rest is not asked for any more."""
        self._from.close()
        super().close()
        self._work.join()


class _Told(io.RawIOBase):
    """Keeps the error of a sink, of which pyrage hands on the text alone."""

    def __init__(self, sink: io.RawIOBase) -> None:
        super().__init__()
        self._sink = sink
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview", /) -> int | None:  # type: ignore[override]  # typeshed's Buffer
        try:
            return self._sink.write(data)
        except OSError as error:
            self.error = error
            raise


class _Work(threading.Thread):
    """Does one end of the pipe, and keeps what went wrong for the other."""

    def __init__(self, do: Callable[[IO[bytes]], None], end: IO[bytes]) -> None:
        super().__init__(name="ops-age", daemon=True)
        self._do, self._end = do, end
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Work to the end, and close it."""
        try:
            self._do(self._end)
        except Exception as error:  # noqa: BLE001 it is raised where the bytes are waited for
            self._error = error
        finally:
            try:
                self._end.close()
            except OSError as error:
                self._error = self._error or error

    def finish(self) -> None:
        """Wait for it; raise an OSError of the disk as it is, anything else as EncryptionError."""
        self.join()
        error = self._error
        if isinstance(error, OSError) and error.errno is not None:
            raise error
        if error is not None:
            raise EncryptionError(f"age: {error}") from error


def _pyrage() -> Any:
    try:
        import pyrage  # noqa: PLC0415 an extra
    except ImportError as error:
        raise EncryptionError(
            "encrypted backups need pyrage: `uv sync --extra encryption`, or `pip install pyrage`"
        ) from error
    return pyrage
