"""What expires and when: the policy values of SPEC E6, free of Django."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from math import inf
from pathlib import PurePath

from retention.errors import PolicyError
from retention.globs import Globs

WORD = re.compile(r"[^\W_]+")  # a run of letters and digits
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_DAY = 86_400 * 10**9
MOST_DAYS = 36_500  # a hundred years; longer is `None`, for ever


class Category(StrEnum):
    """The kinds of files that a dataset holds, in the order in which they claim a path."""

    DECISION = "decision"
    PATTERN = "pattern"
    RAW = "raw"


CATEGORIES = tuple(Category)
UNNAMED = len(CATEGORIES)  # the rank of a path without a category


@dataclass(frozen=True, kw_only=True)
class DataRetentionPolicy:
    """How many days each category is kept (None = for ever) and by which words it is known.

    A file no word matches is never touched. Raises PolicyError.
    """

    raw_snapshot_days: int | None = 7
    pattern_record_days: int | None = 30
    decision_snapshot_days: int | None = None
    raw_words: tuple[str, ...] = ("raw",)
    pattern_words: tuple[str, ...] = ("pattern", "patterns")
    decision_words: tuple[str, ...] = ("decision", "decisions")

    def __post_init__(self) -> None:
        for category in Category:
            _check_days(category, self.days_of(category))
            _check_words(category, self.words_of(category))
        _refuse_shared_words([word for category in Category for word in self.words_of(category)])

    def category_of(self, relative_path: str | PurePath) -> Category | None:
        """Return the first category with a whole word in the path, relative to the dataset root.

        Upper and lower case are equal. Raises PolicyError for an absolute path, whose upper
        directories would take part.
        """
        path = str(relative_path)
        _refuse_absolute(path)
        rank = self._rank_of(path)
        return None if rank == UNNAMED else CATEGORIES[rank]

    def is_expired(self, relative_path: str | PurePath, mtime_ns: int, *, now: datetime) -> bool:
        """Return whether a file last modified at `mtime_ns` (since 1970, UTC) is too old at `now`.

        A file from the future is not.
        """
        return bool(self.judge(now)(str(relative_path), mtime_ns))

    def judge(self, now: datetime) -> Callable[[str, int], bool | None]:
        """Return what says of a relative path and its mtime whether it is too old at `now`.

        It says None of a file that no word names. It is meant for the files of a walk: what the
        words of a directory say is found out once.
        """
        now_ns = ns_since_epoch(now)
        oldest = [
            -inf if days is None else now_ns - days * NS_PER_DAY
            for days in map(self.days_of, CATEGORIES)
        ]
        rank_of = self._rank_of

        @lru_cache(maxsize=1_024)
        def rank_of_directory(directory: str) -> int:
            _refuse_absolute(f"{directory}/")
            return rank_of(directory)

        def judge(path: str, mtime_ns: int) -> bool | None:
            directory, slash, name = path.rpartition("/")
            rank, of_directory = rank_of(name), rank_of_directory(directory) if slash else UNNAMED
            rank = min(rank, of_directory)
            return None if rank == UNNAMED else mtime_ns < oldest[rank]

        return judge

    def days_of(self, category: Category) -> int | None:
        """Return for how many days `category` is kept; None is for ever."""
        return {
            Category.DECISION: self.decision_snapshot_days,
            Category.PATTERN: self.pattern_record_days,
            Category.RAW: self.raw_snapshot_days,
        }[category]

    def words_of(self, category: Category) -> tuple[str, ...]:
        """Return the words that put a path into `category`."""
        return {
            Category.DECISION: self.decision_words,
            Category.PATTERN: self.pattern_words,
            Category.RAW: self.raw_words,
        }[category]

    def _rank_of(self, text: str) -> int:
        """Return the place of the first category that a word of `text` names, or UNNAMED."""
        best, ranks = UNNAMED, self._rank_of_word
        for word in WORD.findall(text.casefold()):
            if word in ranks and ranks[word] < best:
                best = ranks[word]
        return best

    @cached_property
    def _rank_of_word(self) -> dict[str, int]:
        return {
            word: rank
            for rank, category in enumerate(CATEGORIES)
            for word in self.words_of(category)
        }


@dataclass(frozen=True, kw_only=True)
class FileRetentionPolicy:
    """For how many days files are kept (None = for ever), whatever they are.

    It is of the files that `include_globs` name (empty: of all) and `exclude_globs` do not; the
    rest is never touched. Raises PolicyError.
    """

    ttl_days: int | None = 7
    include_globs: tuple[str, ...] = ()
    exclude_globs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_days("files", self.ttl_days)
        for globs in (self.include_globs, self.exclude_globs):
            if not isinstance(globs, tuple):
                raise PolicyError(f"globs {globs!r}: give a tuple such as ('*.log',)")
        _ = self._included, self._excluded

    def concerns(self, relative_path: str) -> bool:
        """Return whether it says anything of the file at this path."""
        included = not self.include_globs or self._included.match(relative_path)
        return included and not self._excluded.match(relative_path)

    def is_expired(self, relative_path: str, mtime_ns: int, *, now: datetime) -> bool:
        """Return whether a file last modified at `mtime_ns` (since 1970, UTC) is too old at `now`.

        A file from the future is not.
        """
        if self.ttl_days is None or ns_since_epoch(now) - mtime_ns <= self.ttl_days * NS_PER_DAY:
            return False
        return self.concerns(relative_path)

    @cached_property
    def _included(self) -> Globs:
        return Globs(self.include_globs)

    @cached_property
    def _excluded(self) -> Globs:
        return Globs(self.exclude_globs)


def ns_since_epoch(moment: datetime) -> int:
    """Return the nanoseconds from 1970 to an aware instant, as mtimes count them."""
    if moment.tzinfo is None:
        raise PolicyError(f"{moment} has no time zone: give an aware instant")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def _refuse_absolute(path: str) -> None:
    if path.startswith("/"):
        raise PolicyError(f"{path!r} is absolute: give it relative to the dataset root")


def _check_days(whose: str, days: object) -> None:
    if days is None:
        return
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= MOST_DAYS:
        raise PolicyError(
            f"days of {whose} is {days!r}: give 0 to {MOST_DAYS} whole days, or None for ever"
        )


def _check_words(category: Category, words: object) -> None:
    if not isinstance(words, tuple):
        raise PolicyError(f"words of {category} is {words!r}: give a tuple such as ('raw',)")
    for word in words:
        if not isinstance(word, str) or not WORD.fullmatch(word) or word != word.casefold():
            raise PolicyError(
                f"word {word!r} of {category} is refused: give letters and digits in lower case"
            )


def _refuse_shared_words(words: list[str]) -> None:
    for word in words:
        if words.count(word) > 1:
            raise PolicyError(f"word {word!r} is given twice: one word names one category")
