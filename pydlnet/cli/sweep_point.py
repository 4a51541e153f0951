"""The experiment of a sweep file at one point, as worker processes call it."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import pydlnet as dln

from .build import build, draws
from .config import PUBLISHED, Config
from .sources import Source, read
from .whole_files import WHOLE

__all__ = ["Data", "data_of", "put", "run_point"]


@dataclass(frozen=True)
class Data:
    """The data files of an experiment, which count by content and not by place.

    Attributes
    ----------
    digest : str
        SHA-256 of what is in them.
    gas : str, int or None
        Which gas to read from the gas sensor archive.
    paths : str, dict of str to str, or None
        Where they are.
    """

    digest: str
    gas: str | int | None
    paths: Any = field(compare=False)


def data_of(config: Config) -> Data:
    """Return the data files of an experiment, with their digest.

    Published data count by name: they never change.
    """
    paths = config.data
    if isinstance(paths, str) and paths in PUBLISHED:
        return Data(hashlib.sha256(paths.encode()).hexdigest(), config.gas, paths)
    named = paths.items() if isinstance(paths, dict) else [("", paths)] if paths else []
    digest = hashlib.sha256()
    for name, path in sorted(named):
        for file in _files(Path(path)):
            # In a folder the names of the files matter, that of a single file does not.
            inner = file.name if Path(path).is_dir() else ""
            digest.update(f"{name}/{inner}\n".encode() + hashlib.sha256(_bytes(file)).digest())
    return Data(digest.hexdigest(), config.gas, paths)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"data: cannot read {str(file)!r}: {error.strerror}") from None


def run_point(
    sections: Mapping[str, Mapping[str, Any]],
    data: Data,
    keys: Mapping[str, str],
    rng: np.random.Generator,
    **parameters: Any,
) -> dln.Trajectory:
    """Run the experiment with some keys replaced.

    Parameters
    ----------
    sections : mapping
        Those of the file.
    data : Data
        Its data.
    keys : mapping of str to str
        "section.key" of each parameter.
    rng : numpy.random.Generator
        Where problem, start and run get their seeds if the file gives none.
    **parameters : object
        Values of the keys.

    Returns
    -------
    Trajectory
        Of the run.
    """
    tables: dict[str, dict[str, Any]] = json.loads(json.dumps(sections))
    for name, value in parameters.items():
        put(tables, keys[name], value)
    for name in ("problem", "start", "run"):
        seed = int(rng.integers(2**63))  # drawn in any case: no other depends on who needs one
        if draws(name, tables[name]) and (name != "run" or "batch_size" in tables["method"]):
            tables[name]["rng"] = seed
    config = Config("sweep", data.paths, data.gas, tables)
    kind = tables["problem"].get("kind")
    source = _source(json.dumps(data.paths), data.gas, data.digest, kind in WHOLE)
    return build(config, source).execute(progress=False)


def put(tables: dict[str, dict[str, Any]], key: str, value: Any) -> None:
    """Set "section.key" in the tables of a file.

    Raises
    ------
    ValueError
        If something on the way is no table.
    """
    *path, last = key.split(".")
    table: Any = tables
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"[grid]: expected a table {name!r} in {key!r}, got {table!r}")
    table[last] = value


@functools.lru_cache(maxsize=1)
def _source(paths: str, gas: str | int | None, digest: str, whole: bool) -> Source:
    """Read the data once in each process."""
    return read(json.loads(paths), gas, whole)
