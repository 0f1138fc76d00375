"""What a run's workers and a clip server say to each other: packets of one word and four numbers.

A worker asks, and is answered; what it was told to decode it says is done, or not. Whoever lends
its time waits for tasks.
"""

import json
import os
import socket
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import NamedTuple

PACKET = struct.Struct("<B4q")
LONGEST = 4096  # bytes


class Word(IntEnum):
    """What a packet means, and its numbers."""

    # of workers
    ASK = 1  # epoch, index
    DONE = 2  # what was to be decoded is
    FAILED = 3  # its video cannot be decoded
    DROPPED = 4  # it was not decoded this time
    # of the server
    WELCOME = 10  # bytes of a slot; with the memory's descriptor
    REFUSED = 11
    HAVE = 12  # slot, to be read before the next packet
    DECODE = 13  # slot, or -1
    TASK = 14  # epoch, index, slot


class Packet(NamedTuple):
    """A word with its numbers."""

    word: Word
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Hello:
    """How a worker introduces itself.

    Attributes:
        key: Of the clips.
        run: Its run, whose workers all say the same.
        lends: Whether it decodes what it is told to, instead of asking.
        seed: Of the order of clips.
        videos: How many there are.
        used: How many of them an epoch takes.
        epochs: How many there are.
        slack: How many positions it may ask for later than for those that follow.
        size: Bytes of a clip's place.
    """

    key: str
    run: str
    lends: bool
    seed: int
    videos: int
    used: int
    epochs: int
    slack: int
    size: int


def packed(word: Word, *numbers: int) -> bytes:
    """Return a packet as bytes."""
    return PACKET.pack(word, *numbers, *[0] * (4 - len(numbers)))


def unpacked(data: bytes) -> Packet:
    """Return a packet.

    Raises:
        ValueError: It is none.
    """
    try:
        word, *numbers = PACKET.unpack(data)
    except struct.error as error:
        raise ValueError(str(error)) from None
    return Packet(Word(word), tuple(numbers))


def hello_bytes(hello: Hello) -> bytes:
    """Return an introduction as bytes."""
    return json.dumps(asdict(hello)).encode()


def hello_of(data: bytes) -> Hello:
    """Return an introduction.

    Raises:
        ValueError, TypeError: It is none.
    """
    return Hello(**json.loads(data))


def connect(address: str, seconds: float) -> socket.socket:
    """Return a connection to a server; nothing on it waits longer than so many seconds.

    Raises:
        OSError: There is none.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        made.settimeout(seconds)
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def receive(connection: socket.socket) -> Packet:
    """Return the next packet.

    Raises:
        OSError: The other side is gone, or says nothing, or what is none.
    """
    data = connection.recv(LONGEST)
    try:
        return unpacked(data)
    except ValueError:
        raise ConnectionError("the other side is gone") from None


def receive_welcome(connection: socket.socket) -> tuple[int, int]:
    """Return the memory's descriptor and the bytes of a slot.

    Raises:
        OSError: The server is gone, or has other clips.
    """
    data, files, _, _ = socket.recv_fds(connection, LONGEST, 1)
    try:
        packet = unpacked(data)
        if packet.word != Word.WELCOME or not files:
            raise ValueError
    except ValueError:
        for file in files:
            os.close(file)
        raise ConnectionError("the server has other clips") from None
    return files[0], packet.numbers[0]
