"""What this app refuses or cannot do.

RetentionError
├── PolicyError        a retention policy contradicts itself or is out of range
├── RootUnusableError  the directory to work on is missing or cannot be read
└── PathEscapeError    a path would lead out of its root
"""


class RetentionError(Exception):
    """Retention could not be carried out."""

    code = "retention"


class PolicyError(RetentionError, ValueError):
    """A retention policy is contradictory or out of range."""

    code = "policy_invalid"


class RootUnusableError(RetentionError):
    """A root directory is missing, is no directory, or cannot be read."""

    code = "root_unusable"


class PathEscapeError(RetentionError, ValueError):
    """A path is not a plain path below its root."""

    code = "path_escapes"
