"""Start clip servers and tell runs of them: one variable of the environment says which is whose."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "CLIP_SERVER"  # "NAME@ADDRESS": what a run is called there, and where
PREFIX = f"clips-{os.getuid()}-"
FAREWELL = 5.0  # seconds a server may take to end


@contextmanager
def clip_server(size: float) -> Iterator[str]:
    """Start a server, and end it with the block; give its address.

    Its socket lies in a folder that is ours alone. The server deletes it when this process dies,
    this process does when the server does; and what both left, should both be killed, is deleted
    by whoever comes next.

    Args:
        size: Bytes that its clips may take.
    """
    _tidy()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # 0700
    try:
        address = str(folder / "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(address)
            listener.listen(1024)  # runs may come before the server listens
            file = listener.fileno()
            module = "datamodules.sharing.server"
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(file), str(folder), str(int(size))],
                stdin=subprocess.PIPE,  # ends when this process does
                stdout=subprocess.DEVNULL,
                pass_fds=[file],
                start_new_session=True,  # Ctrl-C is for the runs, which save
            )
        try:
            yield address
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def variable(name: str, address: str) -> dict[str, str]:
    """Return what tells a run its name at a server, for its environment."""
    return {VARIABLE: f"{name}@{address}"}


def told() -> tuple[str, str] | None:
    """Return this run's name at a server and the server's address, or None: there is none."""
    name, found, address = os.environ.get(VARIABLE, "").rpartition("@")
    return (name, address) if found else None


def possible() -> bool:
    """Return whether this system has what it takes: memory without a name (Linux)."""
    return hasattr(os, "memfd_create")


def _tidy() -> None:
    """Delete folders of servers that were killed together with whoever had started them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as tried:
            if folder.stat().st_uid != os.getuid() or not (folder / "socket").exists():
                continue
            try:
                tried.connect(str(folder / "socket"))
            except ConnectionRefusedError:
                shutil.rmtree(folder, ignore_errors=True)
