"""A process that has imported what every run imports: a run forked from it starts at once.

It has initialised nothing (no threads, no CUDA) and imported none of our own modules, which read
the environment as they are imported: a run does so itself, once it has its own environment.

A run is forked twice. Its parent ends at once, and the orphan goes to the process that asked for
it, as that process's own child: to be waited for, to die with it, and to outlive the server. As
`python -m benchmark.runs.preloaded SOCKET PARENT LIBRARY...` this is the server.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import benchmark.runs.leaving  # before anything else
from benchmark.runs.ancestry import adopting, die_with_parent

# What a run imports, for seconds; what is not installed a run may miss in its own words.
LIBRARIES = (
    *("torch", "torch.distributed.fsdp", "torch.distributed.tensor", "torchvision.transforms.v2"),
    *("lightning", "timm", "torchmetrics", "pytorchvideo.data", "av", "omegaconf", "einops"),
    *("wandb", "wandb.sdk.launch.inputs.internal"),  # the second by every `wandb.init`
)
LONGEST = 1 << 17  # bytes of a request: a little less than what Linux lets one message have
PATIENCE = 60.0  # seconds for a fork
READY = b"ready"


class Forked:
    """A process forked from a server: a child of this process.

    Attributes:
        pid: Its process id, which is also that of its session and group.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that ended it."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


class Server:
    """The process to fork runs from; `server` makes one."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
        self._process, self._connection = process, connection
        self._ready = False

    def ready(self, seconds: float | None = 0) -> bool:
        """Return whether it has imported everything, or is gone, waiting at most so long."""
        if not self._ready:
            self._connection.settimeout(seconds)
            with suppress(BlockingIOError, TimeoutError):
                self._connection.recv(len(READY))  # nothing: it is gone, which `fork` finds out
                self._ready = True
        return self._ready

    def fork(
        self, command: Sequence[str], environment: Mapping[str, str], *, stdout: int, stderr: int
    ) -> Forked | None:
        """Start `python -m MODULE ...` in a session of its own, with nothing to read.

        Args:
            command: What to start.
            environment: All of it.
            stdout: The file descriptor of its output.
            stderr: The same of its errors.

        Returns:
            The process, or None if the server cannot: the command is another one, too long, or the
            server is gone.
        """
        if tuple(command[:2]) != (sys.executable, "-m"):
            return None
        asked = _Request(tuple(command[2:]), dict(environment), os.getcwd(), os.getpid())
        message = json.dumps(asked).encode()
        if len(message) > LONGEST or not self.ready(PATIENCE):
            return None
        self._connection.settimeout(PATIENCE)
        try:
            with adopting():
                socket.send_fds(self._connection, [message], [stdout, stderr])
                return Forked(int(self._connection.recv(32)))
        except (OSError, ValueError):  # no answer: it is gone
            return None

    def close(self) -> None:
        """End the server; what was forked from it goes on."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


class _Request(NamedTuple):
    module: tuple[str, ...]  # and its arguments
    environment: dict[str, str]
    cwd: str
    parent: int  # the process that asks


@contextmanager
def server(libraries: Sequence[str] = LIBRARIES) -> Iterator[Server | None]:
    """Have a server; None where there can be none, outside Linux.

    Args:
        libraries: What it imports, while the block goes on.
    """
    if sys.platform != "linux":
        yield None
        return
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [sys.executable, "-m", __name__, str(its.fileno()), str(os.getpid()), *libraries]
    with its:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            # libraries make their threads as they are loaded; a run sets how many it wants
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is not for it
        )
    made = Server(process, ours)
    try:
        yield made
    finally:
        made.close()


def _serve(connection: socket.socket) -> _Request:
    """Fork a process per request and tell its id; return in each the request, and end with it."""
    while True:
        message, files, _, _ = socket.recv_fds(connection, LONGEST, 2)
        if not message:
            sys.exit()
        between = os.fork()
        if not between:
            between = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == between:  # till it is adopted
                time.sleep(0.0005)
            connection.send(str(os.getpid()).encode())
            connection.close()
            request = _Request(*json.loads(message))
            _become(request, files)
            return request
        for each in files:
            os.close(each)
        os.waitpid(between, 0)


def _become(request: _Request, files: Sequence[int]) -> None:
    """Make of a fork the process that was asked for."""
    die_with_parent(request.parent)
    os.setsid()
    for own, given in zip((1, 2), files, strict=True):
        os.dup2(given, own)
        os.close(given)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:] = request.module
    atexit.register(gc.unfreeze)  # what is left where no `leave` was, libraries report as leaks
    if (torch := sys.modules.get("torch")) and (threads := os.environ.get("OMP_NUM_THREADS")):
        torch.set_num_threads(int(threads))


def main() -> None:
    """Import, then fork what is asked for until nobody asks; the forks leave here, too."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    gc.disable()  # looking for garbage in what is imported would be a fifth of the time
    for each in sys.argv[3:]:
        with suppress(ImportError):
            importlib.import_module(each)
    gc.collect()
    gc.freeze()  # the forks share what is there: their collector need not touch it
    gc.enable()
    connection.send(READY)
    request = _serve(connection)
    # As `python -m`: Lightning starts further ranks by the main module's name
    try:
        runpy.run_module(request.module[0], run_name="__main__", alter_sys=True)
    except SystemExit as left:
        if isinstance(left.code, str):  # Python prints it
            raise
        benchmark.runs.leaving.leave(left.code or 0)
    benchmark.runs.leaving.leave(0)


if __name__ == "__main__":
    main()
