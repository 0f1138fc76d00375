"""A run's process: how it is started, asked to stop, made to end, and why it ended.

It is a process tree in a session of its own: what it does to its process, or how it dies, is its
own affair. It dies with whoever started it, and its output goes to `RUNS/<name>/log.txt`.

A run is started again by itself, and goes on from its last checkpoint, where its memory ran out and
fewer clips at once are to be tried (`memory.py`), and, where that is asked for, when it stalls.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from benchmark.errors import UserError
from benchmark.runs import leaving, memory, progress
from benchmark.runs.ancestry import die_with_parent
from benchmark.runs.folder import LOG, holder
from benchmark.runs.preloaded import Forked, Server
from benchmark.runs.watch import Watch
from datamodules.files import demand_folder, why_unwritten

FAREWELL = 5.0  # seconds a process may take to exit
GRACE = 10.0  # seconds between asking a run to stop and making it end
POLL = 0.2  # seconds between two looks at a process
EXIT_PREEMPTED = os.EX_TEMPFAIL  # exit code of a run that was asked to stop and has saved
EXIT_NO_ROOM = os.EX_IOERR  # of one that could not write: it goes on when started again
EXIT_HELD = os.EX_UNAVAILABLE  # of one whose folder another process works in: no failure
EXIT_AGAIN = os.EX_OSERR  # of one whose memory ran out, and that has noted what it tries next
STALLS = 3  # at one step, after which a run is not started again
COUNT = 5.0  # seconds between two looks at whom the kernel has killed


@dataclass(frozen=True)
class RunCommand:
    """What it takes to start a run's process, here or on another machine: plain data."""

    command: tuple[str, ...]
    folder: Path  # where the run works
    record: Path  # what it leaves
    environment: Mapping[str, str]  # over that of the machine
    restart: bool = False  # when it stalls


class Process:
    """A run's process, at work or at its end; `start` makes one.

    Attributes:
        command: What was started.
        since: When, seconds since 1970.
        log: The file of its output, open.
        code: What it returned, once it is finished.
    """

    code: int

    def __init__(
        self,
        command: RunCommand,
        begin: "Callable[[], subprocess.Popen[bytes] | Forked]",
        log: IO[bytes],
        again: bool = True,
    ) -> None:
        self.command, self.log, self._begin = command, log, begin
        self._may_begin_again, self._stalls = again, list[int]()
        self._start()

    def _start(self) -> None:
        self.since = time.time()
        self._room = memory.read(self.command.folder)
        self._kills = [memory.kills()] * 2  # by the kernel: some seconds ago, and before
        self._counted = time.monotonic()
        self._process = self._begin()
        self._watch = Watch(self.command.folder, self._process.pid, self.log, self.since)

    def ended(self) -> bool:
        """Return whether the process has ended, leaving it a zombie: its id is not reused.

        If it is to go on, it is started again, and has not.
        """
        status = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is None:
            if time.monotonic() - self._counted > COUNT:
                self._kills, self._counted = [memory.kills(), self._kills[0]], time.monotonic()
            if (stalled := self._watch.stalled()) and self.command.restart:
                self._end_stalled(stalled)
            return False
        killed = status.si_code == os.CLD_KILLED and status.si_status == signal.SIGKILL
        if self._may_begin_again and (fewer := self.fewer(killed=killed)):
            self._again(f"out of memory; it goes on with {fewer} clips at once")
            return False
        return True

    def fewer(self, *, killed: bool) -> int | None:
        """Return with how many clips at once a run is to go on that has ended, if it is.

        Args:
            killed: Whether it was killed by SIGKILL: by the kernel, where that has just killed.
        """
        room, before = memory.read(self.command.folder), self._room
        if room and len(room.too_many) > len(before.too_many if before else ()):  # it says so
            return room.clips
        count, counted = memory.kills(), self._kills[1]
        by_kernel = count is not None and counted is not None and count > counted
        return memory.halve(self.command.folder) if killed and by_kernel else None

    def _end_stalled(self, stalled: str) -> None:
        """End a run that has stalled, and start it again unless it has often stalled there."""
        if not self._may_begin_again:
            return
        step = (progress.last(self.command.folder) or {}).get("step", 0)
        self._stalls = [*(each for each in self._stalls if each == step), step]
        if len(self._stalls) < STALLS:
            self._again(f"{stalled}; ended, to go on from its last checkpoint")
            return
        self._may_begin_again = False
        why = f"{stalled}, for the {STALLS}rd time at step {step}"
        progress.write(self.command.folder, stage="failed", message=why)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _again(self, why: str) -> None:
        """End what is left of the process, say why, and start another."""
        self._end()
        with suppress(OSError):  # the disk may be full
            progress.write(self.command.folder, stage="killed", message=why)
            self.log.write(f"{why}\n".encode())
            self.log.flush()
        self._start()

    def _end(self) -> int:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; return whether it came."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.ended():
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(POLL / 4)
        return True

    def terminate(self) -> None:
        """Ask the run to save and to stop: the run alone, for it needs its children to save."""
        self._may_begin_again = False
        if not self.ended():
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> int:
        """End what is left of the process and its children; return its exit code."""
        code = self._end()
        self.log.close()
        return code

    def finish(self) -> str:
        """End what is left of it; return why it left no record, or nothing, and note it."""
        self.code = self.kill()
        line = progress.last(self.command.folder) or {}
        told = line.get("stage") in progress.ENDED and line["time"] >= self.since
        reason = self._reason(line if told else {})
        if reason and not told and self.code != EXIT_HELD:  # for whoever asks how the run is
            goes_on = (EXIT_PREEMPTED, EXIT_AGAIN, EXIT_NO_ROOM)
            failed = self.code >= 0 and self.code not in goes_on
            stage: progress.Stage = "failed" if failed else "killed"
            progress.write(self.command.folder, stage=stage, message=reason)
        return reason

    def _reason(self, line: Mapping[str, Any]) -> str:
        code = self.code
        if code == 0:
            return "" if self.command.record.exists() else "ended without a record"
        if code == EXIT_PREEMPTED:
            return "was asked to stop, and has saved"
        if code == EXIT_HELD:
            return f"is being worked on by {holder(self.command.folder)}"
        if line.get("stage") == "failed" or (code == EXIT_AGAIN and line):
            return progress.message(line) or "failed"
        if code == EXIT_NO_ROOM:  # which may have kept it from saying so
            return progress.message(line) or "nothing more could be written where it works"
        if code < 0:
            killer = signal.Signals(-code).name
            return f"killed by {killer}{' (out of memory?)' if killer == 'SIGKILL' else ''}"
        said = Path(self.log.name).read_text(errors="replace").strip().splitlines()
        if code == 2 and said:  # a mistake of the user, told in one line
            return said[-1].strip()
        return f"exit code {code}{': ' + said[-1].strip()[:200] if said else ''}"


def start(
    command: RunCommand,
    environment: Mapping[str, str],
    *,
    slurm: bool = False,
    log: str = LOG,
    server: Server | None = None,
    again: bool = True,
) -> Process:
    """Start a run's process.

    Args:
        command: What to start.
        environment: More variables, such as the devices the process has for itself.
        slurm: Whether it is one of several tasks of a Slurm job, which Slurm tells which it is.
            Otherwise it does not see Slurm: Lightning would take an allocation for its own.
        log: Name of the file for its output.
        server: What to fork the process from, if it can.
        again: Whether it may be started again by itself: not where others wait for it.

    Raises:
        UserError: nobody can write where it works.
    """
    demand_folder(command.folder)
    try:
        output = (command.folder / log).open("ab")
    except OSError as error:
        why = why_unwritten(error, command.folder)
        raise UserError(f"cannot write {command.folder / log}: {why}") from None
    kept = {k: v for k, v in os.environ.items() if slurm or not k.startswith("SLURM_")}
    whole = kept | dict(command.environment) | dict(environment)
    to = output.fileno()
    parent = os.getpid()

    def prepare() -> None:
        # Slurm sends its signals to every process of a job; this one is for who started us.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        die_with_parent(parent)

    def begin() -> "subprocess.Popen[bytes] | Forked":
        if server and (forked := server.fork(command.command, whole, stdout=to, stderr=to)):
            return forked
        return subprocess.Popen(
            command.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=whole,
            start_new_session=True,
            preexec_fn=prepare,
        )

    return Process(command, begin, output, again)


def end(processes: list[Process]) -> list[str]:
    """End processes: ask, wait for `GRACE` seconds, kill; return why each left no record."""
    reasons: list[str] = []
    try:
        for each in processes:
            each.terminate()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not all(each.ended() for each in processes):
            time.sleep(POLL / 4)
    finally:  # a second Ctrl-C does not wait
        reasons += [each.finish() for each in processes]
    return reasons


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that its runs are ended.

    What is ignored stays ignored: `nohup` asks for that.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    both = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    before = {each: handler for each, handler in both.items() if handler != signal.SIG_IGN}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def leave(code: int) -> NoReturn:
    """Exit with `code` and take along what this process started, within `FAREWELL` seconds.

    Whatever it had to say it has said. A loader worker may still be at work, where the error came
    while its loader was being made: Python would send it a SIGTERM, which workers ignore so that a
    run can save, and wait for it for ever. Objects that were half made have nothing to add.
    """
    sys.unraisablehook = lambda _: None  # a line that says how the run ended stays the last
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises when a worker is killed
    for child in multiprocessing.active_children():
        child.kill()
    last = threading.Timer(FAREWELL, os._exit, [code])  # if anything else is waited for
    last.daemon = True
    last.start()
    leaving.leave(code)
