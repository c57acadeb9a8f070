"""Parquet files whose pages are not what their footers say.

Structs of Thrift's compact protocol are dictionaries here, {field: (kind, value)}; what is read is
written again byte by byte.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

I32, I64, BYTES, LIST, STRUCT = 5, 6, 8, 9, 12  # kinds of fields

DATA, DICTIONARY = 0, 2  # types of pages
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8  # encodings

Struct = dict[int, tuple[int, Any]]


def struct_in(stream: io.BytesIO) -> Struct:
    """The struct that comes next."""
    field, found = 0, {}
    while head := stream.read(1)[0]:
        field = field + (head >> 4) if head >> 4 else _signed(_number_in(stream))
        found[field] = (head & 15, _value_in(stream, head & 15))
    return found


def _value_in(stream: io.BytesIO, kind: int) -> Any:
    match kind:
        case 1 | 2:
            return None
        case 3:
            return stream.read(1)[0]
        case 4 | 5 | 6:
            return _signed(_number_in(stream))
        case 8:
            return stream.read(_number_in(stream))
        case 9:
            head = stream.read(1)[0]
            count = head >> 4 if head >> 4 < 15 else _number_in(stream)
            return head & 15, [_value_in(stream, head & 15) for _ in range(count)]
        case 12:
            return struct_in(stream)
    raise AssertionError(kind)


def _number_in(stream: io.BytesIO) -> int:
    number = shift = 0
    while True:
        byte = stream.read(1)[0]
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number


def _signed(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def written(struct: Struct) -> bytes:
    """The inverse of :func:`struct_in`."""
    result, last = b"", 0
    for field, (kind, value) in struct.items():
        step = field - last
        head = bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _encoded(field)
        result += head + _value(kind, value)
        last = field
    return result + b"\0"


def _value(kind: int, value: Any) -> bytes:
    match kind:
        case 1 | 2:
            return b""
        case 3:
            return bytes([value])
        case 4 | 5 | 6:
            return _encoded(value)
        case 8:
            return unsigned(len(value)) + bytes(value)
        case 9:
            inner, values = value
            count = len(values)
            long = bytes([240 | inner]) + unsigned(count)
            head = bytes([count << 4 | inner]) if count < 15 else long
            return head + b"".join(_value(inner, one) for one in values)
        case 12:
            return value if isinstance(value, bytes) else written(value)
    raise AssertionError(kind)


def _encoded(number: int) -> bytes:
    return unsigned(number << 1 ^ number >> 63)


def unsigned(number: int) -> bytes:
    """A number in groups of seven bits, the least first."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes(groups + bytes([number]))


class Footer(NamedTuple):
    """A file taken apart."""

    pages: bytes  # all that comes before
    struct: Struct

    @classmethod
    def of(cls, content: bytes) -> Footer:
        size = int.from_bytes(content[-8:-4], "little")
        return cls(content[: -8 - size], struct_in(io.BytesIO(content[-8 - size : -8])))

    def content(self, more: bytes = b"") -> bytes:
        """The file again, with more pages."""
        footer = written(self.struct)
        return self.pages + more + footer + len(footer).to_bytes(4, "little") + b"PAR1"

    @property
    def groups(self) -> list[Struct]:
        groups: list[Struct] = self.struct[4][1][1]
        return groups

    def column(self, path: str) -> Struct:
        """What the first row group says of a column."""
        columns = [chunk[3][1] for chunk in self.groups[0][1][1][1]]
        return next(one for one in columns if b".".join(one[3][1][1]) == path.encode())


def page(
    kind: int,
    content: bytes,
    values: int,
    encoding: int,
    *,
    unpacked: int | None = None,
    packed: bytes | None = None,
) -> bytes:
    """A page; unless something else is given, its size is the true one and it is not packed."""
    packed = content if packed is None else packed
    about: Struct = {1: (I32, values), 2: (I32, encoding)}
    if kind == DATA:
        about |= {3: (I32, RLE), 4: (I32, RLE)}
    header: Struct = {
        1: (I32, kind),
        2: (I32, len(content) if unpacked is None else unpacked),
        3: (I32, len(packed)),
        (5 if kind == DATA else 7): (STRUCT, about),
    }
    return written(header) + packed


def run(value: int, times: int) -> bytes:
    """A value of less than a byte over and over, in Parquet's RLE."""
    return unsigned(times << 1) + bytes([value])


def levels(*runs: bytes) -> bytes:
    """Runs with their length before them."""
    together = b"".join(runs)
    return len(together).to_bytes(4, "little") + together


def zeros(size: int, start: bytes = b"") -> bytes:
    """Zeros after a start, so many bytes together, packed by zstd to a few thousandths of that."""
    sink, piece = pa.BufferOutputStream(), bytes(2**20)
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(start)
        for done in range(len(start), size, len(piece)):
            stream.write(piece[: size - done])
    return sink.getvalue().to_pybytes()


def with_pages(
    content: bytes,
    path: str,
    pages: Sequence[bytes],
    *,
    packed: bool = False,
    values: int | None = None,
    unpacked: int | None = None,
) -> bytes:
    """A file in which a column of the first row group has other pages, a dictionary first if two.

    The footer says of values and unpacked bytes what it said before, unless something is given.
    """
    footer = Footer.of(content)
    column, place = footer.column(path), len(footer.pages)
    own = dict(column)
    own[4] = (I32, 6 if packed else 0)  # zstd, or nothing
    own[7] = (I64, sum(map(len, pages)))
    own[9] = (I64, place + (len(pages[0]) if len(pages) > 1 else 0))
    own[11] = (I64, place)
    if len(pages) == 1:
        del own[11]
    if values is not None:
        own[5] = (I64, values)
    if unpacked is not None:
        own[6] = (I64, unpacked)
    column.clear()
    column.update(sorted(own.items()))
    return footer.content(b"".join(pages))
