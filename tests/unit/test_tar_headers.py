"""Our tar headers are, byte for byte, what tarfile makes of the same facts."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenance.tar import TarError, TarReader, TarWriter, header


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


@given(
    st.dictionaries(NAMES, st.binary(max_size=3_000), max_size=8),
    st.integers(1, 700),
)
def test_what_was_written_is_read_back_however_the_stream_is_cut(
    contents: dict[str, bytes], at_once: int
) -> None:
    tar = written(contents)
    reader = TarReader(Dribbling(tar, at_once))
    read = {path: (size, b"".join(reader.chunks())) for path, size in reader}
    assert read == {name: (len(content), content) for name, content in contents.items()}
    assert [path for path, _ in TarReader(io.BytesIO(tar))] == list(contents)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"g"])
def test_what_is_no_regular_file_is_refused(kind: bytes) -> None:
    member = tarfile.TarInfo("evil")
    member.type, member.linkname = kind, "/etc/passwd"
    tar = member.tobuf(tarfile.GNU_FORMAT) + bytes(1_024)
    with pytest.raises(TarError, match=r"'evil/?' is no regular file"):
        list(TarReader(io.BytesIO(tar)))


def test_what_is_cut_short_or_damaged_is_refused() -> None:
    tar = written({"a": b"x" * 600, "n" * 200: b"y"})
    for end in (0, 100, 512, 1_000, 1_536, 2_100):
        with pytest.raises(TarError, match="cut short"):
            list(TarReader(io.BytesIO(tar[:end])))
    for place in (0, 100, 124, 148, 156, 257):
        damaged = tar[:place] + bytes([tar[place] ^ 1]) + tar[place + 1 :]
        with pytest.raises(TarError, match="damaged"):
            list(TarReader(io.BytesIO(damaged)))


class Dribbling(io.BytesIO):
    """Gives fewer bytes than it is asked for, as a decompressor may."""

    def __init__(self, data: bytes, at_once: int) -> None:
        super().__init__(data)
        self._at_once = at_once

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        return super().read(min(size, self._at_once))


def written(contents: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    writer = TarWriter(sink)
    for name, content in contents.items():
        status = status_of(mode=0o640, ids=(0, 0), size=len(content), mtime=7)
        writer.add(name, status, [content])
    writer.finish()
    return sink.getvalue()
