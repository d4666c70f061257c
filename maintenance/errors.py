"""What this app refuses or cannot do.

MaintenanceError
├── RootsError            the two roots are missing, equal or nested the wrong way
├── RootBusyError         another process maintains the root
├── BackupError           a backup could not be made
│   ├── SourceChangedError    a file would not hold still while it was read
│   └── SourceUnreadableError a file or directory could not be read
├── EncryptionError       the key of encrypted backups is missing, or is no key
├── RemoteError           the place of the copies cannot be used, or has no such copy
├── BackupNotFoundError   no backup has that id or path
├── ManifestError         a manifest is damaged, edited or of an unknown format
├── VerificationError     a backup is not what its manifest says
│   └── BackupUnreadableError     (a ManifestError, too) it cannot be read now
├── RestoreError          files could not be brought back, or not to there
└── MaintenanceFailedError    a standing run ended without doing its work
"""

import errno

REMEDIES = {
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EROFS: "mount it writable",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (fs.file-max)",
}


class MaintenanceError(Exception):
    """Maintenance could not be carried out."""

    code = "maintenance"


class RootsError(MaintenanceError):
    """The dataset root and the backup root cannot be used together."""

    code = "roots_refused"


class RootBusyError(MaintenanceError):
    """Another process holds the lock of a root."""

    code = "root_busy"


class BackupError(MaintenanceError):
    """A backup could not be made; nothing of it is left."""

    code = "backup_failed"


class SourceChangedError(BackupError):
    """A file changed while it was read."""

    code = "source_changed"


class SourceUnreadableError(BackupError):
    """A file or directory could not be read."""

    code = "source_unreadable"


class EncryptionError(MaintenanceError):
    """An archive cannot be encrypted or decrypted."""

    code = "encryption"


class RemoteError(MaintenanceError):
    """The place of the copies cannot be used, or has no such copy."""

    code = "remote_failed"


class BackupNotFoundError(MaintenanceError):
    """No backup has that id or path."""

    code = "backup_not_found"


class ManifestError(MaintenanceError):
    """A manifest is damaged, edited or of an unknown format."""

    code = "manifest_invalid"


class VerificationError(MaintenanceError):
    """A backup is not what its manifest says; `path` is the file that differs, '' if none does."""

    code = "verification_failed"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class BackupUnreadableError(VerificationError, ManifestError):
    """A backup cannot be read now, which says nothing about what it holds."""

    code = "backup_unreadable"


class RestoreError(MaintenanceError):
    """Files could not be brought back, or not to there."""

    code = "restore_failed"


class MaintenanceFailedError(MaintenanceError):
    """A standing maintenance run ended without doing its work."""

    code = "maintenance_failed"


def remedy_of(error: OSError) -> str:
    """Return what to do where a disk did not take a file."""
    return REMEDIES.get(error.errno or 0, "make room there or check the disk")
