"""Files that are whole or not there: written beside their place, then renamed. Folders that one process works in."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import socket
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

from cifs.errors import CIFSError, InUse, NoSpace

# What zipfile raises on an archive that is missing or damaged, and what numpy does, which also parses headers as Python
# code, on a .npz that is that, foreign or would need unpickling.
UNREADABLE_ZIP = (
    OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, struct.error, BadZipFile, zlib.error,
    LZMAError,
)  # fmt: skip
UNREADABLE_NPZ = (*UNREADABLE_ZIP, TypeError, SyntaxError, SystemError, MemoryError, TokenError)


PREFIX, INCOMING = ".cifs-", ".incoming-"  # of a file, and of a folder around what is not whole yet
STALE = 24 * 3600  # seconds after which nobody is writing it any more


def reason(error: BaseException) -> str:
    """What an error of UNREADABLE_NPZ says first: numpy goes on to advise that the file be unpickled all the same."""
    return str(error).partition(". ")[0]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well, removed when it does not.

    It is on the disk before it is renamed: after a power cut the file is the old or the new one. Raises NoSpace.
    """
    with _space_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PREFIX}{path.stem}-", suffix=path.suffix)
        os.close(handle)
    temporary = Path(name)
    try:
        with _space_for(path):
            yield temporary
            temporary.chmod(0o644)
            _to_disk(temporary)
            temporary.replace(path)
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(as_json(value), encoding="utf-8")


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def append_line(path: Path, line: str) -> None:
    """Raises NoSpace."""
    with _space_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@contextmanager
def incoming(root: Path) -> Iterator[Path]:
    """A folder beside the things it will be one of, gone at the end."""
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=INCOMING, dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_version(folder: Path, *, without: Callable[[Path], Collection[str]]) -> Iterator[Path]:
    """A folder with all that this one holds, which takes its place in one step when the block ends well.

    So whoever reads it, or is killed, meets the old one or the new one. without: of the new one, names that are not
    taken over from the old; asked at the end of the block. Raises NoSpace.
    """
    with _space_for(folder), incoming(folder.parent) as around:
        new = around / folder.name
        new.mkdir()
        yield new
        if folder.exists():
            left_out = {*without(new), *(path.name for path in new.iterdir())}
            for path in folder.iterdir():
                if path.name not in left_out and not path.name.startswith(PREFIX):
                    _share(path, new / path.name)
        for path in (new, *new.rglob("*")):
            _to_disk(path)
        _replace_folder(new, folder)
        _to_disk(folder.parent)


def _share(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
        return
    try:
        os.link(source, target)  # the same file: one that is being written, or locked, stays so
    except OSError:
        shutil.copy2(source, target)


def _replace_folder(new: Path, folder: Path) -> None:
    """The old one then has the new one's name, if there was one."""
    if not folder.exists():
        new.rename(folder)
    elif not _exchanged(new, folder):
        folder.rename(new.with_name(f"{new.name}.old"))
        new.rename(folder)


def _exchanged(first: Path, second: Path) -> bool:
    """Whether each has got the other's name, in one step: Linux can (renameat2(2)), on most file systems."""
    at_cwd, exchange = -100, 2
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    return bool(rename(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange) == 0)


def move_whole(source: Path, target: Path) -> None:
    """Renames a file or a folder, once all of it is on the disk: after a power cut it is there whole, or not at all."""
    for path in (source, *source.rglob("*")):
        _to_disk(path)
    source.rename(target)
    _to_disk(target.parent)


def remove_stale(folder: Path) -> None:
    """What `replacing` left in this folder when its process was killed: our own prefix, and older than a day."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process may have removed it
            if path.is_file() and time.time() - path.stat().st_mtime > STALE:
                path.unlink()


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """The folder is this process's alone until the block, or the process, ends.

    shared: its and that of others who say so too. Raises InUse, at once, with the pid; or NoSpace.
    """
    with _space_for(folder / "lock"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    with lock as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InUse(f"{folder} is in use by {file.read().strip() or 'another process'}") from None
        with suppress(OSError):  # on a full disk it is locked all the same
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def in_use(folder: Path) -> bool:
    """Whether a process of this machine holds `locked`, without taking it even for a moment. Linux alone knows."""
    try:
        inode = (folder / "lock").stat().st_ino
        held = Path("/proc/locks").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(line.split()[1] == "FLOCK" and line.split()[5].endswith(f":{inode}") for line in held.splitlines())


@contextmanager
def _space_for(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # torch and safetensors have exceptions of their own for a full disk
        if not _is_full(path.parent, error):
            raise
        raise NoSpace(f"no space left for {path}: the disk is full; what was there before is untouched") from error


def says_full(error: BaseException | None) -> bool:
    """Whether the system said that a disk, or somebody's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_full(folder: Path, error: Exception) -> bool:
    if isinstance(error, OSError):
        return says_full(error)
    if isinstance(error, CIFSError):
        return False
    folder = next(each for each in (folder, *folder.parents) if each.exists())
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free == 0


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
