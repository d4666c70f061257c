r"""What secrets look like, as regular expressions that take linear time whatever they are given.

Linear means: a match may start only at a rare literal or at the edge of a run (a lookbehind), runs
are disjoint from what must follow them or possessive (`++`), and nothing nests. Each pattern takes
the whole run it starts, so that no second pass finds more. A group named `keep` stays readable.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MASK = "\ufdd0"  # stands for the placeholder while rules run: a noncharacter, so no rule matches it
AWS_IDS = ("AKIA", "ASIA", "AGPA", "AIDA", "AROA", "AIPA", "ANPA", "ANVA", "ABIA", "ACCA")
EDGE = r"(?<![A-Za-z0-9])"

PASSPHRASE = r"(?:passw(?:or)?d|passphrase|pwd)[\w-]{0,20}"  # noqa: S105 a pattern
WORD = (
    rf"(?:{PASSPHRASE}|secret(?:[_-][\w-]{{0,20}})?(?![a-z])|token(?![a-z])"
    r"|credentials?(?![a-z])|(?<![a-z])dsn(?![a-z])"
    r"|(?:api|access|private|secret|signing|encryption|account|shared)[_-]?key(?![a-z]))"
)
CLOSE = r"""(?:\\*["'])?\]?[ \t]*+"""  # what may stand between a name and its separator
SIGN = r"(?:=>|:=|==?|:(?!:))[ \t]*+"
OPEN = r"""(?:[bru]?(?P<quote>\\*["']))?"""
QUOTED = (
    # To the same quote or, cut off, to the end of the line. An atomic group, because `)++` reads
    # past the quote on Python 3.11.2 (cpython issue 106052).
    r"(?>(?:(?!(?P=quote))(?:\\.|[^\n\\]))+)"
)
BARE = r"""[^\s&"'](?:[^\s&"']|["'](?=\w))*(?<![,;.)\]}])"""
VALUE = rf"(?(quote){QUOTED}|{BARE})"


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of secret; `marks` are literals of which each match holds one, for a quick no."""

    pattern: re.Pattern[str]
    marks: tuple[str, ...] = ()
    spare: Callable[[str], bool] | None = None

    def apply(self, text: str) -> str:
        """Return `text` with MASK for each match, but for its kept beginning."""
        if self.marks and not any(mark in text for mark in self.marks):
            return text
        return self.pattern.sub(self._masked, text)

    def _masked(self, match: re.Match[str]) -> str:
        if self.spare is not None and self.spare(match[0]):
            return match[0]
        return (match.groupdict().get("keep") or "") + MASK


def is_hash(run: str) -> bool:
    """Return True for a SHA-1 or SHA-256 in hexadecimal."""
    return len(run) in {40, 64} and set(run) <= set("0123456789abcdefABCDEF")


def _rule(pattern: str, *marks: str) -> Rule:
    return Rule(re.compile(pattern, re.MULTILINE), marks)


# Order: what spans others first, so that a part of it is not masked alone.
SHAPES = (
    _rule(
        r"-----BEGIN [A-Z0-9 ]{0,40}-----(?:[\s\S]*?-----END [A-Z0-9 ]{0,40}-----|[\s\S]*)",
        "-----BEGIN ",
    ),
    _rule(r"https://hooks\.slack(?:-gov)?\.com/[^\s\"'<>]+", "hooks.slack"),
    _rule(
        r"https://(?:\w{1,20}\.)?discord(?:app)?\.com/api/(?:v\d{1,3}/)?webhooks/[^\s\"'<>]+",
        "/webhooks/",
    ),
    _rule(r"https?://[0-9a-f]{32}(?::[0-9a-f]{32})?@[^\s/\"'<>]+/[\w/.-]*\d", "://"),  # Sentry DSN
    _rule(r"(?P<keep>://)[^\s/?#\"'<>]+(?=@)", "://"),
    _rule(  # e-mail, with all that sticks to it but a full stop
        r"(?<![\w.+%-])(?=[.+%-]*+\w)[\w.+%-]++@"
        r"(?:[\w-]++\.)+[^\W\d_]{2,}(?:[\w.+%-]*[\w+%-])?",
        "@",
    ),
    _rule(r"(?P<keep>/bot)\d+:[\w-]+", "/bot"),  # Telegram, in a URL
    _rule(rf"(?:(?<=bot)|{EDGE})\d{{6,12}}:[\w-]{{30,}}", ":"),
    _rule(rf"{EDGE}(?:gh[pousr]|github_pat)_\w{{10,}}", "gh", "github_pat_"),
    _rule(rf"{EDGE}glpat-[\w-]{{10,}}", "glpat-"),
    _rule(rf"{EDGE}sk-(?:(?:proj|ant)-[\w-]+|[\w-]{{16,}}|[\w-]{{0,15}}\d[\w-]*)", "sk-"),
    _rule(rf"{EDGE}(?:xox[a-z](?:\.[a-z]+)?-[\w.-]+|xapp-[\w-]+)", "xox", "xapp-"),
    _rule(rf"{EDGE}[srp]k_(?:live|test)_\w+", "k_live_", "k_test_"),  # Stripe
    _rule(rf"{EDGE}whsec_[\w+/=]+", "whsec_"),
    _rule(rf"{EDGE}(?:{'|'.join(AWS_IDS)})[A-Z0-9]{{12,}}[A-Za-z0-9]*", *AWS_IDS),
    _rule(rf"{EDGE}AIza[\w-]{{30,}}", "AIza"),  # Google
    _rule(rf"{EDGE}eyJ[\w-]{{6,}}\.[\w-]+(?:\.[\w-]*)*", "eyJ"),  # JSON web token
)

# An AWS secret stands out only by its length and its mixture; a path of 40 characters has no such.
AWS_SECRET = _rule(
    r"(?<![\w/+.-])(?=[A-Za-z0-9/+]{40}(?![\w/+=.-]))(?!/)(?=(?:[^A-Z\s]*[A-Z]){5})"
    r"(?=(?:[^a-z\s]*[a-z]){5})(?=\D{0,39}\d)[A-Za-z0-9/+]{40}"
)
LONG_RUN = re.compile(r"[A-Za-z0-9]{32,}")

NAMED = (
    _rule(rf"(?i:(?P<keep>authorization{CLOSE}{SIGN}{OPEN})(?(quote){QUOTED}|[^\s\"'][^\n\"']*+))"),
    _rule(
        r"(?i:(?P<keep>(?<![a-z])bearer[ \t]+)"
        r"(?:(?=[\w.~+/=-]*\d)|(?=[\w.~+/=-]{16})|(?=\w+[.~+=-]\w))[\w.~+/=-]+)"
    ),
    _rule(rf"(?i:(?P<keep>{WORD}{CLOSE}{SIGN}{OPEN}){VALUE})"),
    _rule(rf"(?i:(?P<keep>(?<![\w-])--(?:\w{{1,20}}-){{0,3}}{WORD}[ \t]++{OPEN})(?!-){VALUE})"),
    _rule(rf"(?P<keep>(?:(?<![A-Za-z])(?i:key)|(?<=[a-z])Key){CLOSE}{SIGN}{OPEN}){VALUE}"),
)

SECRET_NAME = re.compile(
    rf"(?i:{WORD}$|authorization|cookie|^bearer$|(?:^|_|-)key$)|[a-z]Key$|(?i:{PASSPHRASE})"
)
