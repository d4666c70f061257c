"""The ETEDA loop on real files."""

import json
from pathlib import Path
from typing import Any

import pytest

from opsproject.eteda.errors import EtedaError
from opsproject.eteda.files import append_line
from opsproject.eteda.runner import run_once

HEADER = "service,metric,unit,value,warn_at,critical_at\n"
STAGES = ["extract", "transform", "evaluate", "decide", "act"]
FOLDERS = ["raw_snapshot", "pattern_record", "decision_snapshot"]


@pytest.fixture
def data(tmp_path: Path, settings: Any) -> Path:
    """Give the loop a data directory of its own."""
    settings.ETEDA_DIR = tmp_path / "eteda"
    settings.DATASET_ROOT = tmp_path / "dataset"
    return tmp_path


def write_sheet(data: Path, *rows: str, header: str = HEADER) -> None:
    """Replace the sheet."""
    (data / "eteda").mkdir(exist_ok=True)
    (data / "eteda/sheet.csv").write_text(header + "".join(f"{row}\n" for row in rows))


def files(data: Path) -> list[Path]:
    """Return every file but the sheet."""
    return sorted(p for p in data.rglob("*") if p.is_file() and p.name != "sheet.csv")


def journal(data: Path) -> list[dict[str, Any]]:
    """Return the lines of the journal."""
    lines = (data / "eteda/journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_first_run_brings_its_sheet_and_leaves_a_file_per_folder(data: Path) -> None:
    result = run_once()

    assert result["decision"] == "carry_on"
    assert result["rows"] == 8
    assert list(result["stages"]) == STAGES
    assert all(seconds >= 0 for seconds in result["stages"].values())
    assert [len(list((data / "dataset" / folder).iterdir())) for folder in FOLDERS] == [1, 1, 1]
    assert [line["decision"] for line in journal(data)] == ["carry_on"]
    assert json.dumps(result)


def test_editing_the_sheet_changes_the_next_decision(data: Path) -> None:
    run_once()
    sheet = data / "eteda/sheet.csv"
    sheet.write_text(
        sheet.read_text().replace(
            "payments,queue depth,messages,38", "payments,queue depth,messages,250"
        )
    )
    watched = run_once()
    sheet.write_text(sheet.read_text().replace("messages,250", "messages,1000"))
    escalated = run_once()

    assert (watched["decision"], escalated["decision"]) == ("watch", "escalate")
    assert escalated["reasons"] == ["payments queue depth: 1000 messages is at or above 1000"]
    assert [line["decision"] for line in journal(data)] == ["carry_on", "watch", "escalate"]


def test_every_run_has_files_of_its_own_that_belong_together(data: Path) -> None:
    for _ in range(20):
        run_once()

    names = [sorted(p.name for p in (data / "dataset" / folder).iterdir()) for folder in FOLDERS]
    assert len(names[0]) == 20
    assert names[0] == names[1] == names[2] == [line["snapshot"] for line in journal(data)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("search,index age,min,abc,30,120", ["line 3", "column value", "'abc'", "not a number"]),
        ("search,index age,min,nan,30,120", ["line 3", "column value", "'nan'"]),
        ("search,index age,min,1e999,30,120", ["line 3", "column value", "'1e999'"]),
        ("search,index age,min,1_0,30,120", ["line 3", "column value", "'1_0'"]),
        ("search,index age,min,,30,120", ["line 3", "column value", "''"]),
        ("search,index age,min,1,200,120", ["line 3", "column warn_at", "'200'", "'120'"]),
        (",index age,min,1,30,120", ["line 3", "column service", "empty"]),
        ("search,index age,min,1,30", ["line 3", "6 cells"]),
        ("search,index age,min,1,5,30,120", ["line 3", "6 cells"]),
        ('search,"index age,min,1,30,120', ["line 3", "not CSV"]),
        ("mail,bounces,%,1,2,5", ["mail / bounces", "twice"]),
    ],
)
def test_a_corrupt_row_fails_the_run_and_leaves_nothing(
    data: Path, row: str, said: list[str]
) -> None:
    run_once()
    before = {path: path.read_bytes() for path in files(data)}
    write_sheet(data, "mail,bounces,%,1,2,5", row)
    sheet = (data / "eteda/sheet.csv").read_bytes()

    with pytest.raises(EtedaError) as caught:
        run_once()

    assert caught.value.code == "sheet_row"
    assert str(data / "eteda/sheet.csv") in str(caught.value)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert {path: path.read_bytes() for path in files(data)} == before
    assert (data / "eteda/sheet.csv").read_bytes() == sheet


def test_a_sheet_with_other_columns_is_refused_with_those_expected(data: Path) -> None:
    write_sheet(data, "1;2", header="a;b\n")

    with pytest.raises(EtedaError, match="service,metric,unit,value,warn_at,critical_at") as caught:
        run_once()

    assert caught.value.code == "sheet_header"
    assert files(data) == []


@pytest.mark.parametrize("header", [HEADER, ""])
def test_an_empty_sheet_is_refused(data: Path, header: str) -> None:
    write_sheet(data, header=header)

    with pytest.raises(EtedaError, match=r"sheet\.csv"):
        run_once()


def test_a_sheet_that_is_not_text_is_refused(data: Path) -> None:
    write_sheet(data)
    (data / "eteda/sheet.csv").write_bytes(b"\xff\xfe\x00s")

    with pytest.raises(EtedaError, match="UTF-8") as caught:
        run_once()

    assert caught.value.code == "sheet_unreadable"


def test_a_sheet_saved_by_a_spreadsheet_is_read(data: Path) -> None:
    write_sheet(data)
    text = HEADER + 'orders,"p95, all",ms,1.5,2,3\n\n'
    (data / "eteda/sheet.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))

    assert run_once()["rows"] == 1


def test_a_sheet_that_vanished_is_an_error_and_no_fresh_start(data: Path) -> None:
    run_once()
    (data / "eteda/sheet.csv").unlink()

    with pytest.raises(EtedaError, match="put the sheet back") as caught:
        run_once()

    assert caught.value.code == "sheet_missing"
    assert not (data / "eteda/sheet.csv").exists()


def test_a_line_torn_by_a_power_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"n": 1}\n{"n": 2')

    append_line(path, {"n": 3})

    assert path.read_text().splitlines() == ['{"n": 1}', '{"n": 2', '{"n": 3}']
