"""How a run's loader workers share clips: ask, take or decode; and lend their time in between.

Without an answer a worker decodes for itself, as it would alone, and asks no more.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import get_worker_info

from datamodules.decoding.video import DecodeError
from datamodules.sharing.memory import Slots
from datamodules.sharing.wire import (
    Hello,
    Word,
    connect,
    hello_bytes,
    packed,
    receive,
    receive_welcome,
)

DEADLINE = 15.0  # seconds until a server that says nothing is left, more than it lets anyone wait

Item = dict[str, Any]
Make = Callable[[tuple[int, int]], Item]


class _Connection(NamedTuple):
    socket: socket.socket
    slots: Slots

    @staticmethod
    def to(address: str, hello: Hello) -> "_Connection":
        """Return a connection to a server that knows us.

        Raises:
            OSError: There is none, or it has other clips.
        """
        made = connect(address, DEADLINE)
        try:
            made.send(hello_bytes(hello))
            file, size = receive_welcome(made)
            return _Connection(made, Slots(file, size))
        except OSError:
            made.close()
            raise


class SharedClips:
    """Where the training clips of a run come from: called with (epoch, index), and who makes one.

    Every process has connections of its own, made when it first needs them; pickled without.

    Args:
        address: Of the server.
        hello: Who asks.
    """

    def __init__(self, address: str, hello: Hello) -> None:
        self.address, self.hello = address, hello
        self._process = 0  # that the rest is of
        self._connection: _Connection | None = None
        self._decoded, self._lock = 0, threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "hello": self.hello}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, clip: tuple[int, int], make: Make) -> Item:
        """Return a clip, from another run or from `make`.

        "decoded" in it is how many clips this process has decoded since it returned the last one.
        """
        if self._process != os.getpid():
            self._begin(make)
        item = self._ask(clip, make)
        with self._lock:
            item["decoded"], self._decoded = self._decoded, 0
        return item

    def _ask(self, clip: tuple[int, int], make: Make) -> Item:
        connection = self._connection
        if connection is None:
            return self._make(clip, make)
        try:
            connection.socket.send(packed(Word.ASK, *clip))
            word, numbers = receive(connection.socket)
            if word == Word.HAVE:
                return _item(connection.slots, numbers[0])
        except OSError:
            self._leave()
            return self._make(clip, make)
        item, said = None, Word.DROPPED
        try:
            item = self._make(clip, make)
            said = _offer(connection.slots, numbers[0], item)
        except DecodeError:
            said = Word.FAILED
            raise
        finally:
            try:
                connection.socket.send(packed(said))
            except OSError:
                self._leave()
        return item

    def _make(self, clip: tuple[int, int], make: Make) -> Item:
        with self._lock:
            self._decoded += 1
        return make(clip)

    def _begin(self, make: Make) -> None:
        """Connect this process, and let it lend its time where it is a loader worker."""
        self._process, self._connection, self._decoded = os.getpid(), None, 0
        self._lock = threading.Lock()  # whoever forked may have held the other
        with suppress(OSError):
            self._connection = _Connection.to(self.address, self.hello)
            weakref.finalize(self, self._connection.socket.close)
        if self._connection and get_worker_info() is not None:
            threading.Thread(target=self._lend, args=[make], daemon=True).start()

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.socket.close()
            self._connection = None

    def _lend(self, make: Make) -> None:
        """Decode what the server says, until it is gone."""
        torch.set_num_threads(1)
        with suppress(OSError):
            hello = Hello(**{**self.hello.__dict__, "lends": True})
            connection = _Connection.to(self.address, hello)
            with connection.socket:
                connection.socket.settimeout(None)
                while True:
                    _, (epoch, index, slot, _) = receive(connection.socket)
                    said = Word.DROPPED
                    try:
                        said = _offer(connection.slots, slot, self._make((epoch, index), make))
                    except DecodeError:
                        said = Word.FAILED
                    except Exception:  # whoever needs the clip will say so
                        pass
                    connection.socket.send(packed(said))


def _offer(slots: Slots, slot: int, item: Item) -> Word:
    """Put a clip into a slot, unless another one stands in for it; return what became of it."""
    if item["broken"] >= 0:
        return Word.FAILED
    if slot >= 0:
        rest = {name: value for name, value in item.items() if name != "video"}
        slots.write(slot, item["video"].numpy(), rest | {"erase": rest["erase"].tolist()})
    return Word.DONE


def _item(slots: Slots, slot: int) -> Item:
    pictures, rest = slots.read(slot)
    return {
        **rest,
        "video": torch.from_numpy(pictures),
        "erase": np.array(rest["erase"], np.int64),
    }
