"""`docs/explain.md` has every gate that there is, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_gate_is_in_the_table_and_no_other() -> None:
    code = "".join(path.read_text() for path in (ROOT / "scheduling" / "explain").glob("*.py"))
    made = set(re.findall(r'(?:opened|closed|_limit)\(\s*"(\w+)"', code))
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \|", (ROOT / "docs/explain.md").read_text(), re.MULTILINE
    )
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert made == told
    assert len(told) > 10
