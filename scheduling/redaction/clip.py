"""Bounds a text before it is redacted: masking costs time in proportion to the length."""

EDGE = 200  # of a text without spaces, so much goes at the cut: a secret may have been cut in two


def clip(text: str, limit: int) -> str:
    """Return the text, or its first and last half of `limit` characters, cut between words."""
    if len(text) <= limit:
        return text
    half = limit // 2
    head, tail = text[:half], text[-half:]
    kept_head = head[: max(_last_space(head), half - EDGE)]
    kept_tail = tail[min(_first_space(tail), EDGE) :]
    left_out = len(text) - len(kept_head) - len(kept_tail)
    return f"{kept_head} … {left_out} characters left out … {kept_tail}"


def _last_space(text: str) -> int:
    return max(text.rfind(" "), text.rfind("\n"))


def _first_space(text: str) -> int:
    found = [place for place in (text.find(" "), text.find("\n")) if place >= 0]
    return min(found, default=len(text))
