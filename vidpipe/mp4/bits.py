"""Read bits and Exp-Golomb numbers from codec headers (ITU-T H.264 9.1).

In:   bytes.  Out: numbers.  Wrong: IndexError when the bytes end too early.
"""

from __future__ import annotations


class Bits:
    """A position in a row of bits, first bit first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._size = self.left = 8 * len(data)

    @property
    def at(self) -> int:
        """Bits that were read."""
        return self._size - self.left

    def read(self, count: int) -> int:
        """Return the next ``count`` bits as an unsigned number."""
        if count > self.left:
            raise IndexError("the header ends too early")
        self.left -= count
        return self._value >> self.left & (1 << count) - 1

    def flag(self) -> bool:
        """Return the next bit."""
        return self.read(1) == 1

    def ue(self) -> int:
        """Return the next unsigned Exp-Golomb number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def se(self) -> int:
        """Return the next signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


_ESCAPED = b"\0\0\3"


def unescape(nal: bytes) -> bytes:
    """Return the payload of a NAL unit without its emulation prevention bytes (00 00 03 -> 00 00)."""
    return nal.replace(_ESCAPED, b"\0\0")


def escaped_size(nal: bytes, count: int) -> int:
    """Return how many bytes of a NAL unit hold the first ``count`` bytes of its payload."""
    at = nal.find(_ESCAPED)
    while at != -1 and at + 2 < count:
        count += 1
        at = nal.find(_ESCAPED, at + 3)
    return count
