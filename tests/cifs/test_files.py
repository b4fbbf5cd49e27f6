"""Files are whole or not there."""

import errno
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cifs.errors import InUse, NoSpace
from cifs.files import append_line, locked, remove_stale, replacing, write_json
from tests.disks import fill, small_disk


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_and_is_readable(tmp_path: Path) -> None:
    value = {"ε": 0.1, "list": [1, None, True]}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "ε" in text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_json_is_refused_and_leaves_the_old_file(value: float, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": value})
    assert json.loads((tmp_path / "a.json").read_text()) == 1


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "a.txt", []
    fsync = os.fsync

    def spy(handle: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{handle}"), path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert synced == [(str(temporary), False), (str(tmp_path), True)]


def test_only_our_own_leftovers_older_than_a_day_are_removed(tmp_path: Path) -> None:
    class Cut(BaseException):
        pass

    for name in ("old", "young"):
        with pytest.raises(Cut), replacing(tmp_path / "state.pt") as temporary:
            (tmp_path / temporary.name).rename(tmp_path / f"{temporary.name}-{name}")  # as after kill -9
            raise Cut
    (tmp_path / ".state-abcdefgh.pt").write_text("somebody else's")
    (tmp_path / ".cifs-folder").mkdir()
    yesterday = time.time() - 25 * 3600
    for path in tmp_path.iterdir():
        if not path.name.endswith("young"):
            os.utime(path, (yesterday, yesterday))
    remove_stale(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[0] != left[1]
    assert {".state-abcdefgh.pt", ".cifs-folder"} < set(left)
    assert [name.rpartition("-")[2] for name in left if name.startswith(".cifs-state")] == ["young"]
    remove_stale(tmp_path / "nowhere")


# ---- one process a folder -------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from cifs.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_process_s_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InUse, match=f"is in use by process {holder.pid} on "), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "lock").read_text()
    with locked(tmp_path):
        pass


# ---- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 64) as folder:
        yield folder


LARGE = {"weights": torch.zeros(100_000)}
WRITES = {
    "torch": lambda path: torch.save(LARGE, path),
    "safetensors": lambda path: save_file(LARGE, path),
    "text": lambda path: path.write_text("x" * 100_000),
}


@pytest.mark.parametrize("how", WRITES)
def test_on_a_full_disk_the_old_file_stays_and_the_error_says_so(how: str, disk: Path) -> None:
    path = disk / "a.pt"
    path.write_text("old")
    said = r"no space left for .*disk/a\.pt: the disk is full; what was there before is untouched"
    with pytest.raises(NoSpace, match=said), replacing(path) as temporary:
        WRITES[how](temporary)
    assert path.read_text() == "old"
    assert list(disk.iterdir()) == [path]


def test_a_folder_of_a_full_disk_can_be_locked_or_the_error_says_so(disk: Path) -> None:
    with locked(disk / "run"):
        fill(disk)
    with locked(disk / "run"), pytest.raises(InUse), locked(disk / "run"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_known_by_its_number(number: int, tmp_path: Path) -> None:
    with pytest.raises(NoSpace), replacing(tmp_path / "a"):
        raise OSError(number, "full")
    with pytest.raises(PermissionError), replacing(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "not yours")


def test_a_line_is_appended(tmp_path: Path) -> None:
    for line in ("a", "b"):
        append_line(tmp_path / "new" / "log", line)
    assert (tmp_path / "new" / "log").read_text() == "a\nb\n"
