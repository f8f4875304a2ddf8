"""Records as one data frame, a row each: for notebooks, spreadsheets and other tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame

NO_NAMES: Mapping[str, str] = MappingProxyType({})

SUFFIXES = (".csv", ".parquet")
"""What ``write`` can write, by the file's suffix."""


def frame(
    records: Iterable[Record], names: Mapping[str, str] = NO_NAMES, superseded: Collection[Record] = ()
) -> DataFrame:
    """A row for each record, in the order given. ``names``: by label, the name that reports show.

    Columns: the key, ``current`` (false for a superseded record), the job's fields, that name as ``shown``, the status
    and reason, then ``split.*``, ``metrics.*``, ``criteria.*``, ``cost.*``, ``parameters.*``, ``ledger.*`` and
    ``provenance.*``; ``oracle``, and ``epochs`` (how many). What is no number, text or truth value is JSON text. All
    values of a column are of one type.
    """
    from pandas import DataFrame

    old = {record.job.key for record in superseded}
    rows = [row(record, names) for record in records]
    return _of_one_type(DataFrame([{"key": each["key"], "current": each["key"] not in old, **each} for each in rows]))


def write(
    records: Iterable[Record],
    file: Path,
    names: Mapping[str, str] = NO_NAMES,
    superseded: Collection[Record] = (),
) -> int:
    """Write the frame to a CSV or Parquet file, by its suffix; returns the number of rows.

    Raises BenchError for another suffix, or where the file cannot be written.
    """
    if file.suffix not in SUFFIXES:
        raise BenchError(f"cannot tell the format of {file}; write a name that ends in {' or '.join(SUFFIXES)}")
    rows = frame(records, names, superseded)
    try:
        if file.suffix == ".csv":
            rows.to_csv(file, index=False)
        else:
            rows.to_parquet(file, index=False)
    except ImportError as error:
        raise BenchError("Parquet needs pyarrow; pip install 'oneclass-bench[parquet]', or write a .csv") from error
    except OSError as error:
        raise BenchError(f"cannot write {file}: {error.strerror or error}") from error
    return len(rows)


def row(record: Record, names: Mapping[str, str] = NO_NAMES) -> dict[str, Any]:
    """A record as one row: each column's name with its value."""
    columns: dict[str, Any] = {
        "key": record.job.key,
        **dataclasses.asdict(record.job),
        "shown": names.get(record.job.label, record.job.label),
        "status": record.status,
        "reason": record.reason,
        "oracle": record.oracle,
        "epochs": len(record.epochs),
    }
    for section in ("split", "metrics", "criteria", "cost", "parameters", "ledger", "provenance"):
        columns |= flat(section, getattr(record, section))
    return columns


def flat(name: str, value: Any) -> dict[str, Any]:
    """A value under its name, a mapping as one entry for each of its values."""
    if isinstance(value, Mapping):
        return {key: each for inner, part in value.items() for key, each in flat(f"{name}.{inner}", part).items()}
    simple = value is None or isinstance(value, bool | int | float | str)
    return {name: value if simple else json.dumps(value, ensure_ascii=False)}


def _of_one_type(rows: DataFrame) -> DataFrame:
    """The frame with text in place of what a column cannot hold together, as ``scale`` and 0.05 for γ."""
    mixed = [name for name in rows.columns if len({type(value) for value in rows[name].dropna()}) > 1]
    return rows.assign(**{name: rows[name].map(str, na_action="ignore") for name in mixed})
