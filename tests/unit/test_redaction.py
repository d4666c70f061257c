"""What the redactor masks, what it leaves alone, and what it refuses (SPEC D4)."""

import json
from typing import Any

import pytest

from scheduling.redaction import RedactionError, Redactor, sentry_filter

GITHUB = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
AWS_VALUE = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TELEGRAM = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"
SHA1, SHA256, MD5 = "a9" * 20, "b8" * 32, "c7" * 16
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"

MASKED = {
    "me@example.com wrote": "# wrote",
    "to first.last+tag@mail.example.co.kr.": "to #.",
    f"cloned with {GITHUB}": "cloned with #",
    "gho_16C7e42F292c6912E7 ghu_16C7e42F292c6912E7": "# #",
    "ghs_16C7e42F292c6912E7 ghr_16C7e42F292c6912E7": "# #",
    "github_pat_11ABCDEFG0_abcdefghij": "#",
    "sk-abcdefghijklmnop1234 sk-proj-abc_1 sk-ant-api03-x": "# # #",
    "xoxb-123-456-abcDEF xoxp-1-2-3 xapp-1-A0-x": "# # #",
    "https://hooks.slack.com/services/T000/B000/XXXX sent": "# sent",
    "AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLE": "# #",
    f"the value {AWS_VALUE} alone": "the value # alone",
    f"aws_secret_access_key = {AWS_VALUE}": "aws_secret_access_key = #",
    "sk_live_4eC39HqLyjWDarjt rk_test_4eC39HqL pk_live_4eC39": "# # #",
    "whsec_abcdefgh0123": "#",
    "Authorization: Bearer abc.def": "Authorization: #",
    "Authorization: Basic dXNlcjpw": "Authorization: #",
    "{'Authorization': 'token abc def', 'a': 1}": "{'Authorization': '#', 'a': 1}",
    "sent Bearer mF_9.B5f-4.1JqM": "sent Bearer #",
    "password=hunter2, user=bob": "password=#, user=bob",
    "PASSWORD = 'two words'": "PASSWORD = '#'",
    "passwd:x pwd=y passphrase = z": "passwd:# pwd=# passphrase = #",
    '{"password": "hun\\"ter", "a": 1}': '{"password": "#", "a": 1}',
    '{"token":"abc","a":"b"}': '{"token":"#","a":"b"}',
    '"{\\"token\\": \\"abc\\"}"': '"{\\"token\\": \\"#\\"}"',
    "db:\n  password: s3cret!\n  user: bob": "db:\n  password: #\n  user: bob",
    "MY_TOKEN=abc CLIENT_SECRET=def DB_PASSWORD1=g": "MY_TOKEN=# CLIENT_SECRET=# DB_PASSWORD1=#",
    "?access_token=abc&page=2": "?access_token=#&page=2",
    "key = abc, apiKey: def, api-key=ghi": "key = #, apiKey: #, api-key=#",
    "key: abc": "key: #",
    "secret => 'x'": "secret => '#'",
    "os.environ['TOKEN'] = 'abc'": "os.environ['TOKEN'] = '#'",
    "run --password hunter2 --api-key abc -v": "run --password # --api-key # -v",
    'password: "cut off here': 'password: "#',
    "postgres://user:pa@ss@host:5432/db": "postgres://#@host:5432/db",
    "redis://:pw@127.0.0.1:6379/0": "redis://#@127.0.0.1:6379/0",
    "https://token@github.com/a/b.git": "https://#@github.com/a/b.git",
    f"before\n{PEM}\nbehind": "before\n#\nbehind",
    PEM.replace("\n", "\\n"): "#",
    "-----BEGIN PRIVATE KEY-----\ncut off": "#",
    f"https://api.telegram.org/bot{TELEGRAM}/getMe": "https://api.telegram.org/bot#/getMe",
    f"chat with {TELEGRAM} now": "chat with # now",
    "https://discord.com/api/webhooks/12/abc_-d": "#",
    "https://discordapp.com/api/v10/webhooks/12/abc": "#",
    f"https://{MD5}@o1.ingest.sentry.io/42": "#",
    f"http://{MD5}@sentry.internal:9000/2 down": "# down",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": "#",
    f"digest {MD5}": "digest #",
    f"{SHA1} {SHA256}": "# #",
}
UNTOUCHED = (
    "Nine jobs ran; two were skipped because the office was paused.",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "2026-01-31T09:00:00.123Z, 2026-01-31 18:00:00+09:00, 12:30",
    "/var/lib/ops/real/dataset/raw_snapshot/2026-01-31T090000.json",
    "/Users/Bob/Projects/Ops2026/Backups/Sheet",
    "C:\\Users\\bob\\ops\\db.sqlite3",
    "https://example.com:8080/@scope/pkg?page=1#top",
    "the bearer of bad news",
    "monkey=1 keyboard: us max_tokens=512 tokenizer: bpe",
    "password=",
    'password=""',
    "KeyError: 'password'",
    "std::token::Kind",
    "react@18.2.0 @pytest.fixture a @ b",
    "risk-averse-and-otherwise-long task-force scikit-learn sk-learn",
    "a" * 31,
    "매일 아침 9시에 보고서를 만듭니다",
)


@pytest.mark.parametrize(("text", "expected"), MASKED.items())
def test_a_secret_is_masked_where_it_stands(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected.replace("#", "[REDACTED]")


@pytest.mark.parametrize("text", UNTOUCHED)
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert Redactor().text(text) == text


def test_masked_json_is_still_json() -> None:
    text = json.dumps({"api_key": 'a"b\\', "dsn": "x y", "items": ["me@example.com", 3]})

    assert json.loads(Redactor().text(text)) == {
        "api_key": "[REDACTED]",
        "dsn": "[REDACTED]",
        "items": ["[REDACTED]", 3],
    }


def test_kept_hashes_are_exactly_sha1_and_sha256() -> None:
    text = f"{SHA1} {SHA256} {MD5} {SHA1}0 {'g' * 40}"

    assert Redactor(keep_hashes=True, placeholder="#").text(text) == f"{SHA1} {SHA256} # # #"
    assert Redactor(keep_hashes=True, placeholder="#").text(f"token={SHA1}") == "token=#"


def test_custom_patterns_and_placeholder_hold_everywhere() -> None:
    redactor = Redactor([r"CUST-\d+"], placeholder="***")

    assert redactor.text("CUST-42 me@example.com") == "*** ***"
    assert redactor.value({"who": ["CUST-1"]}) == {"who": ["***"]}
    assert hash(redactor) == hash(Redactor((r"CUST-\d+",), placeholder="***"))


@pytest.mark.parametrize(("pattern", "problem"), [("(", "no regular expression"), ("x*", "empty")])
def test_an_unusable_pattern_is_refused_by_name(pattern: str, problem: str) -> None:
    with pytest.raises(RedactionError, match=problem) as refused:
        Redactor([pattern])

    assert repr(pattern) in str(refused.value)
    assert refused.value.code == "bad_redaction"


@pytest.mark.parametrize("placeholder", ["", "  ", 'a"b', "\\", "-", "=."])
def test_a_placeholder_that_would_break_texts_is_refused(placeholder: str) -> None:
    with pytest.raises(RedactionError, match="placeholder"):
        Redactor(placeholder=placeholder)


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "token", "access-token", "client_secret", "api_key", "apiKey",
     "key", "Authorization", "SENTRY_DSN", "credentials", "Cookie", "private_key"],
)  # fmt: skip
def test_a_value_under_a_secret_name_is_masked_whole(name: str) -> None:
    assert Redactor().value({name: {"any": ["thing"]}}) == {name: "[REDACTED]"}


def test_values_are_walked_and_their_shape_is_kept() -> None:
    value = {
        "to": ("me@example.com", 3),
        "max_tokens": 512,
        "token": None,
        "seen": {"sk-ant-x"},
        "raw": b"password=x",
        "me@example.com": [True, None, 1.5],
    }

    assert Redactor().value(value) == {
        "to": ("[REDACTED]", 3),
        "max_tokens": 512,
        "token": None,
        "seen": {"[REDACTED]"},
        "raw": b"password=[REDACTED]",
        "[REDACTED]": [True, None, 1.5],
    }


def test_typed_fields_are_not_free_text() -> None:
    assert Redactor().value({"checksum": SHA256, "text": SHA256}, typed={"checksum"}) == {
        "checksum": SHA256,
        "text": "[REDACTED]",
    }


def test_a_cycle_or_an_absurd_depth_is_masked() -> None:
    cycle: list[Any] = ["me@example.com"]
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]

    assert Redactor().value(cycle) == ["[REDACTED]", "[REDACTED]"]
    assert "[REDACTED]" in repr(Redactor().value(deep))


def test_sentry_gets_its_ids_and_no_secret() -> None:
    event = {
        "event_id": MD5,
        "contexts": {"trace": {"trace_id": MD5}},
        "exception": {"values": [{"value": "password=hunter2 for me@example.com"}]},
        "request": {"headers": {"Authorization": "Bearer x", "Cookie": "sessionid=1"}},
    }

    assert sentry_filter(Redactor())(event, {}) == {
        "event_id": MD5,
        "contexts": {"trace": {"trace_id": MD5}},
        "exception": {"values": [{"value": "password=[REDACTED] for [REDACTED]"}]},
        "request": {"headers": {"Authorization": "[REDACTED]", "Cookie": "[REDACTED]"}},
    }


def test_an_event_that_cannot_be_redacted_is_dropped() -> None:
    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError

    assert sentry_filter(Redactor())({"extra": Hostile(a=1)}, {}) is None
