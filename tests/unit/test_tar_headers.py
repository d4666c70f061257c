"""Our tar headers are, byte for byte, what tarfile makes of the same facts."""

import os
import subprocess
import tarfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from maintenance.tar import TarWriter, header


def status_of(*, mode: int, ids: tuple[int, int], size: int, mtime: int) -> os.stat_result:
    times = (0.0, 0.0, 0.0, 0, mtime * 10**9, 0)
    return os.stat_result((0o100000 | mode, 1, 1, 1, *ids, size, 0, 0, 0, *times))


NAMES = st.binary(min_size=1, max_size=300).map(os.fsdecode).filter(lambda n: "\0" not in n)


@given(
    name=NAMES,
    mode=st.integers(0, 0o7777),
    ids=st.tuples(*[st.integers(0, 2**32 - 2)] * 2),
    size=st.integers(0, 2**62),
    mtime=st.integers(-(2**33), 2**40),
)
@example(name="a" * 100, mode=0o644, ids=(0, 0), size=0, mtime=0)
@example(name="a" * 101, mode=0o644, ids=(0, 0), size=0, mtime=0)
@example(name="a", mode=0o7777, ids=(8**7 - 1, 8**7), size=8**11 - 1, mtime=8**11 - 1)
@example(name="a", mode=0, ids=(0, 0), size=8**11, mtime=-1)
def test_they_are_those_of_tarfile(
    name: str, mode: int, ids: tuple[int, int], size: int, mtime: int
) -> None:
    status = status_of(mode=mode, ids=ids, size=size, mtime=mtime)
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, mtime, mode
    member.uid, member.gid = ids
    assert header(name, status) == member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def test_stock_tar_lists_and_checks_what_was_written(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    contents = {"empty": b"", "block": b"x" * 512, "more": b"y" * 513, "n" * 200: b"z"}
    with archive.open("wb") as sink:
        writer = TarWriter(sink)
        for name, content in contents.items():
            status = status_of(mode=0o640, ids=(0, 0), size=len(content), mtime=7)
            writer.add(name, status, [content])
        writer.finish()
    assert archive.stat().st_size % 10_240 == 0
    listed = subprocess.run(["tar", "-tf", archive], capture_output=True, check=True, text=True)
    assert listed.stdout.split() == list(contents)
    assert not listed.stderr
    for name, content in contents.items():
        taken = subprocess.run(["tar", "-xOf", archive, name], capture_output=True, check=True)
        assert taken.stdout == content
