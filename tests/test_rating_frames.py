"""`datasets.ratings` of DataFrames, of tables of Arrow, and of Parquet files."""

import builtins
import re

import numpy as np
import pandas as pd
import pyarrow
import pytest
from small_ratings import EXPECTED, TABLE, entries

from pydlnet import datasets


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("who", ["object", "string", "category"])
@pytest.mark.parametrize("what", ["int16", "uint64", "Int64", "int64[pyarrow]", "category"])
def test_parquet_and_data_frames(tmp_path, as_file, who, what):
    frame = TABLE.astype({"who": who, "what": what}).set_index(pd.Index([5, 5, 6, 7]))
    if as_file:
        frame.to_parquet(tmp_path / "r.bin", index=False)
    rated = datasets.ratings(tmp_path / "r.bin" if as_file else frame)
    assert entries(rated) == EXPECTED
    assert rated.item_ids.dtype == np.int64
    shuffled = frame[["stars", "who", "what"]]
    assert entries(datasets.ratings(shuffled, user="who", item="what", value=0)) == EXPECTED


@pytest.mark.parametrize("change", [{"what": "object"}, {"stars": "category"}])
def test_numbers_in_other_columns(change):
    assert entries(datasets.ratings(TABLE.astype(change))) == EXPECTED


def test_tables_of_arrow():
    assert entries(datasets.ratings(pyarrow.Table.from_pandas(TABLE))) == EXPECTED


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"stars": [1.0, np.nan, 3.0, 4.0]}, ValueError, r"row 1 .*got a missing value"),
        ({"stars": [1.0, 2.0, np.inf, 4.0]}, ValueError, r"row 2 .*got inf"),
        ({"stars": pd.Categorical([1, None, 2, 3])}, ValueError, r"row 1 .*got a missing value"),
        ({"stars": list("1234")}, TypeError, "value: expected a column of real numbers"),
        ({"stars": [True] * 4}, TypeError, "value: expected a column of real numbers"),
        ({"stars": [1j] * 4}, TypeError, "value: expected a column of real numbers"),
        ({"who": ["a", None, "b", "c"]}, ValueError, r"row 1 .*expected a name of the user"),
        ({"what": [1.0, 2.0, 3.0, 4.0]}, TypeError, "item: expected a column of integers .*float"),
        ({"what": [2**64 - 1] * 4}, TypeError, "item: expected a column of integers of at most 64"),
        ({"who": ["a", 3, "b", "c"]}, TypeError, r"user: .* got int 3 in .*row 1"),
        ({"what": pd.Series([2**64] * 4, dtype=object)}, TypeError, "integers of at most 64"),
        ({"who": ["bob"] * 4}, ValueError, r"row 1 .* occur again after row 0"),
    ],
)
def test_wrong_columns_of_a_data_frame(change, error, message):
    with pytest.raises(error, match=message):
        datasets.ratings(TABLE.assign(**change))


def test_an_empty_data_frame():
    with pytest.raises(ValueError, match="has no rows"):
        datasets.ratings(TABLE.iloc[:0])


def test_wrong_bytes_in_a_parquet_file(tmp_path):
    path = tmp_path / "r.parquet"
    TABLE.to_parquet(path)
    content = path.read_bytes()
    draws, messages = np.random.default_rng(0), []
    for place in draws.integers(4, len(content), size=100):
        path.write_bytes(content[:place] + bytes([draws.integers(256)]) + content[place + 1 :])
        try:
            datasets.ratings(path)
        except (ValueError, TypeError) as error:  # TypeError: of a column whose type has changed
            messages.append(str(error))
    assert len(messages) > 20
    assert all(re.match("path: |user: |item: |value: ", message) for message in messages)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    TABLE.to_parquet(tmp_path / "r.parquet")
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'pydlnet\[parquet\]'"):
        datasets.ratings(tmp_path / "r.parquet")
