"""A packed file as a file of its own: a range of a shard's bytes."""

import errno
import io
import os
import zlib

from datamodules.shards.index import AGAIN, FACTS, Member, Shard

HEADER = 512  # bytes of a tar file before a member's own
SIZE = slice(124, 136)  # of a member, octal, in its header
LARGEST = 8**11 - 1  # size that can stand there


class MemberFile(io.RawIOBase):
    """The bytes of a packed file, for FFmpeg as well: nothing outside of them can be read.

    Whatever is wrong with the shard is an OSError that says so: no fault of the video's.

    Args:
        path: What it is called, which also tells FFmpeg what it may be.
        shard: Where its bytes lie.
        member: Which they are.
        check: Compare their checksum where they are read from the first to the last.

    Raises:
        OSError: The shard is not there, or not as it was written.
    """

    def __init__(self, path: str, shard: Shard, member: Member, *, check: bool = False) -> None:
        super().__init__()
        self.name = f"file:{path}"
        self._shard, self._member, self._check = shard.path, member, check
        self._place = self._summed = self._crc32 = 0
        self._descriptor = -1
        try:
            self._descriptor = os.open(shard.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self._error("is not there") from None
        found = os.fstat(self._descriptor).st_size
        if found != shard.size:
            raise self._error(f"has {found:,} bytes, not the {shard.size:,} that {FACTS} says")
        header = os.pread(self._descriptor, HEADER, member.first - HEADER)
        if header[257:262] != b"ustar" or not _is_size(header[SIZE], member.size):
            raise self._error("holds something else than its index says")

    def _error(self, what: str) -> OSError:
        return OSError(errno.EIO, f"its shard {self._shard} {what}; {AGAIN}")

    def close(self) -> None:
        """Close the shard; closing twice does nothing."""
        if not self.closed and self._descriptor >= 0:
            os.close(self._descriptor)
        super().close()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that one can go anywhere in it."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place and return it; before the start there is none, and a negative number."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._member.size}[whence]
        if begin + offset < 0:  # an empty file's last byte, which FFmpeg asks for
            return -errno.EINVAL
        self._place = begin + offset
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, fewer at the end, none behind it.

        Raises:
            OSError: The disk does not deliver them.
        """
        left = max(0, self._member.size - self._place)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        found = os.pread(self._descriptor, wanted, self._member.first + self._place)
        if not found:
            raise self._error("is cut off")
        if self._check and self._place == self._summed:
            self._crc32, self._summed = zlib.crc32(found, self._crc32), self._summed + len(found)
            if self._summed == self._member.size and self._crc32 != self._member.crc32:
                raise self._error("holds other bytes of it than were packed")
        self._place += len(found)
        return found

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; return how many bytes were put into it."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)


def _is_size(field: bytes, size: int) -> bool:
    """Return whether a header's field says `size`, if it has room for it."""
    digits = field.strip(b" \0")
    return size > LARGEST or (digits.isdigit() and int(digits, 8) == size)
