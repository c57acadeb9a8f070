"""What the pages of a Parquet file say of themselves, held against its footer.

Arrow makes room for a page, a dictionary or the lists of a row as the header of a page asks,
whatever the footer says: some kilobytes can ask for gigabytes. So headers are read here before
Arrow reads pages, and only as far as this needs. They are structs of Thrift's compact protocol:
https://parquet.apache.org/docs/file-format/ and https://thrift.apache.org/docs/specs/.
"""

from __future__ import annotations

from typing import Any

# Fields of a header
_TYPE, _UNPACKED, _PACKED = 1, 2, 3
# By type of page (data, dictionary, data of version 2): its own field, and in that its encoding
_PARTS = {0: (5, 2), 2: (7, 2), 3: (8, 4)}
_DICTIONARY = 2
_COUNT = 1  # in each of these: values

# PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY, BYTE_STREAM_SPLIT. Those that
# are left out say inside of a page how much there is.
_ENCODINGS = {0, 2, 3, 5, 8, 9}

_LEVELS = 3  # of structs: a header, what is said of its type, statistics

_Struct = dict[int, Any]  # numbers and structs by field; other fields are passed over


def refuse_larger_pages(content: bytes, column: Any) -> None:
    """Raise ValueError or IndexError unless pages are no larger than the footer says.

    Parameters
    ----------
    content
        The file.
    column
        A column of a row group, a ColumnChunkMetaData of pyarrow's.
    """
    if not column.num_values:  # then Arrow reads nothing
        return
    place = _start(column)
    end = place + column.total_compressed_size
    values = unpacked = 0
    while values < column.num_values:  # as long as Arrow goes on
        header, place = _struct(content, place, _LEVELS)
        count = _values(header)
        unpacked += _size(header, _UNPACKED)
        place += _size(header, _PACKED)
        if place > end or unpacked > column.total_uncompressed_size or count > column.num_values:
            raise ValueError("pages are larger than the footer says")
        values += 0 if header[_TYPE] == _DICTIONARY else count
    if values > column.num_values:
        raise ValueError("more values than the footer says")


def _start(column: Any) -> int:
    """Where the first page is; Arrow does the same."""
    start: int = column.data_page_offset
    if 0 < (column.dictionary_page_offset or 0) < start:
        start = column.dictionary_page_offset
    if start <= 0:
        raise ValueError("pages before the file")
    return start


def _values(header: _Struct) -> int:
    """Values in a page of a kind and an encoding that are read."""
    field, encoding = _PARTS.get(_size(header, _TYPE), (0, 0))
    about = header.get(field)
    if not isinstance(about, dict) or about.get(encoding) not in _ENCODINGS:
        raise ValueError("a page of another kind")
    return _size(about, _COUNT)


def _size(struct: _Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"a size of {value}")
    return value


def _struct(content: bytes, place: int, levels: int) -> tuple[_Struct, int]:
    """The numbers and structs of a struct, and where it ends."""
    if not levels:
        raise ValueError("structs within structs")
    found: _Struct = {}
    field = 0
    while head := content[place]:
        place += 1
        step, kind = head >> 4, head & 15
        if not step:  # fields out of order, of which the last might count
            raise ValueError("fields out of order")
        field += step
        if kind in (5, 6):  # a number of 32 or 64 bits
            number, place = _varint(content, place)
            found[field] = number >> 1 ^ -(number & 1)
        elif kind == 8:  # bytes
            length, place = _varint(content, place)
            place += length
        elif kind == 12:
            found[field], place = _struct(content, place, levels - 1)
        elif kind not in (1, 2):  # true or false
            raise ValueError(f"a field of kind {kind}")
    return found, place + 1


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, the least first, and where it ends."""
    number = 0
    for shift in range(0, 64, 7):
        byte = content[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number without end")
