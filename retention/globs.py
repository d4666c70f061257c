"""Matches relative paths against glob patterns."""

from collections.abc import Sequence

from wcmatch import glob

from retention.errors import PolicyError

FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.MATCHBASE
LONGEST = 500


class Globs:
    """A file matches if any pattern does. Raises PolicyError for what is no pattern.

    `*` and `?` stay inside one name, `**` goes through directories, a leading dot is nothing
    special, and a pattern without a slash is of a name in any directory.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            _check(pattern)
        self._matcher = glob.compile(list(patterns), flags=FLAGS, limit=0)

    def match(self, relative_path: str) -> bool:
        """Return whether one of the patterns is of this path."""
        return self._matcher.match(relative_path)


def _check(pattern: object) -> None:
    if not isinstance(pattern, str) or not pattern.strip() or len(pattern) > LONGEST:
        raise PolicyError(f"glob {pattern!r} is refused: give 1 to {LONGEST} characters")
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise PolicyError(f"glob {pattern!r} leads out of the root: give it relative to the root")
