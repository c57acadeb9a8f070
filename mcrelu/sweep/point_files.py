"""Data points of the user's own from a file: columns of a CSV or a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from mcrelu.errors import UserError
from mcrelu.store.parquet import DAMAGED, table_of
from mcrelu.store.uris import first_line
from mcrelu.sweep.reading import read_content
from mcrelu.types import Floats

MOST_BYTES = 64 * 2**20  # of a file
MOST_POINTS = 10_000  # every task carries them, and every check evaluates networks at all


def read_columns(
    file: str, names: Sequence[str], folder: str | Path, most: int = MOST_POINTS
) -> list[Floats]:
    """The columns ``names`` of a CSV (with a header) or Parquet file, (D,) each.

    ``file`` is a path, relative to ``folder``, or a URI; D is at most ``most``.

    Raises
    ------
    ValueError
        If the file is missing or unreadable, or a column is, has no numbers, or gaps; in one line.
    """
    where = _where(file, str(folder))
    table = _table(where)
    if not 0 < table.num_rows <= most:
        raise ValueError(f"{where}: has {table.num_rows} rows; give 1 to {most} points")
    return [_column(table, name, where) for name in names]


def _where(file: str, folder: str) -> str:
    if "://" in file:
        return file
    return f"{folder}/{file}" if "://" in folder else str(Path(folder) / file)


def _table(where: str) -> pa.Table:
    try:
        content = read_content(where, MOST_BYTES)
        if PurePath(where).suffix == ".parquet":
            return table_of(content)
        return pacsv.read_csv(BytesIO(content), pacsv.ReadOptions(use_threads=False))
    except FileNotFoundError:
        raise ValueError(f"{where}: no such file; give a CSV or Parquet file") from None
    except (*DAMAGED, UserError) as error:
        reason = first_line(error)
        reason = reason if reason.isascii() else "it is no text"
        raise ValueError(f"{where}: cannot be read ({reason}); give CSV or Parquet") from None


def _column(table: pa.Table, name: str, where: str) -> Floats:
    if table.column_names.count(name) != 1:
        known = ", ".join(table.column_names)
        if table.num_columns == 1 and ";" in known:
            raise ValueError(f"{where}: has columns separated by ';'; separate them by commas")
        raise ValueError(f"{where}: no (single) column {name!r}; it has {known}")
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(f"{where}: column {name!r} holds {column.type}; give numbers")
    values = column.cast(pa.float64()).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"{where}: column {name!r} has no finite number in row {bad[0] + 1}; remove the row"
        )
    return values
