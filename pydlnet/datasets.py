"""Real measurements, read from the files their publishers offer.

Nothing is downloaded and the package ships no copy: the functions here read an archive that the
user has fetched, in the layout in which it comes.
"""

from __future__ import annotations

import io
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import index
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from ._validation import as_path, hint

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["GASES", "gas_sensor"]

GASES = ("ethanol", "ethylene", "ammonia", "acetaldehyde", "acetone", "toluene")
"""Gases of the gas sensor data set; the label in UCI's files is the position here plus one."""

_N_FEATURES = 128
_ADDRESS = "https://doi.org/10.24432/C5MK6M"
_BATCH = re.compile(r"batch(\d+)\.dat", re.IGNORECASE)

# Of wrong bytes in an archive: where it ends, in its directory, in what is packed by any of the
# ways that archives know; an unknown way, and a password.
_NO_ARCHIVE = (
    zipfile.BadZipFile,
    EOFError,
    OverflowError,
    UnicodeDecodeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    OSError,
    NotImplementedError,
    RuntimeError,
)

_Opener = Callable[[], IO[bytes]]


def gas_sensor(
    path: str | os.PathLike[str], gas: str | int = "ethanol"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read one gas of UCI's "Gas Sensor Array Drift at Different Concentrations".

    Concentration of a gas from 8 features of each of 16 chemical sensors: the regression task of
    [1]_ and [2]_, who use ethanol (2,565 measurements in the full archive).

    Parameters
    ----------
    path : str or path-like
        The zip archive as downloaded from https://doi.org/10.24432/C5MK6M, with or without a
        folder ``Dataset/`` in it, or the folder it was unpacked into.
    gas : str or int, default "ethanol"
        Name of the gas (upper or lower case) or its label in UCI's files: 1 ethanol, 2 ethylene,
        3 ammonia, 4 acetaldehyde, 5 acetone, 6 toluene.

    Returns
    -------
    inputs : ndarray of float64, shape (n_samples, 128)
        Features as published, in the order of the batches 1 to 10 and of the lines in each.
    outputs : ndarray of float64, shape (n_samples, 1)
        Concentrations in parts per million by volume.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist; the message says where the archive comes from.
    ValueError
        If `gas` is unknown or has no measurements in the archive, if the archive is truncated or
        holds no batch files, or if a line is malformed (the message names file and line).
    TypeError
        If `path` is no path, or `gas` neither a name nor an integer.

    Notes
    -----
    The columns differ in scale by five orders of magnitude and the condition number of the centred
    inputs is about 1e7: whiten them with `pydlnet.whiten`, which never forms their covariance.

    Licence: CC BY 4.0 in UCI's metadata; an older sentence on UCI's page allows research use only.
    Whoever uses the data cites [3]_ and [4]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen, E. Hazan, "On the Optimization of Deep Networks: Implicit
       Acceleration by Overparameterization", ICML 2018, arXiv:1802.06509.
    .. [2] S. Arora, N. Cohen, N. Golowich, W. Hu, "A Convergence Analysis of Gradient Descent for
       Deep Linear Neural Networks", ICLR 2019, arXiv:1810.02281.
    .. [3] A. Vergara et al., "Chemical gas sensor drift compensation using classifier ensembles",
       Sensors and Actuators B 166 (2012) 320-329.
    .. [4] I. Rodriguez-Lujan et al., "On the calibration of sensor arrays for pattern recognition
       using the minimal number of experiments", Chemometrics and Intelligent Laboratory Systems
       130 (2014) 123-134, data set doi:10.24432/C5MK6M.

    Examples
    --------
    >>> from pydlnet import datasets
    >>> inputs, outputs = datasets.gas_sensor("gas_sensor.zip")  # doctest: +SKIP
    """
    label = _label(gas)
    location = as_path(path, "path")
    if not location.exists():
        raise FileNotFoundError(
            f"path: no file or folder {str(location)!r}; download the archive from {_ADDRESS} "
            "and give the path of the zip file or of the folder it unpacks to"
        )
    measurements: list[list[float]] = []
    with _batches(location) as batches:
        for name, open_batch in batches:
            with open_batch() as stream:
                measurements += _measurements(stream, f"{location}: {name}", label)
    if not measurements:
        raise ValueError(f"gas: {location} has no measurements of {GASES[label - 1]} ({label})")
    table = np.array(measurements, dtype=np.float64)
    return np.ascontiguousarray(table[:, 1:]), np.ascontiguousarray(table[:, :1])


def _label(gas: str | int) -> int:
    if isinstance(gas, str):
        name = gas.strip().lower()
        if name in GASES:
            return GASES.index(name) + 1
        raise ValueError(
            f"gas: expected one of {', '.join(GASES)} or a label, got {gas!r}{hint(name, GASES)}"
        )
    if isinstance(gas, bool):
        raise TypeError("gas: expected a name or a label from 1 to 6, got a bool")
    try:
        label = index(gas)
    except TypeError:
        raise TypeError(
            f"gas: expected a name or a label from 1 to 6, got {type(gas).__name__}"
        ) from None
    if not 1 <= label <= len(GASES):
        raise ValueError(f"gas: expected a label from 1 to {len(GASES)}, got {label}")
    return label


@contextmanager
def _batches(location: Path) -> Iterator[list[tuple[str, _Opener]]]:
    """Yield name and opener of each batch file of a folder or a zip archive in numeric order."""
    if location.is_dir():
        files = [file for file in location.rglob("*") if file.is_file()]
        yield _in_order(
            {str(file.relative_to(location)): partial(_open, file) for file in files}, location
        )
        return
    try:
        with zipfile.ZipFile(location) as archive, _innermost(archive) as inner:
            names = inner.namelist()
            yield _in_order({name: partial(inner.open, name) for name in names}, location)
    except _NO_ARCHIVE as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(
            f"path: {location} is not a complete zip archive ({error}); download it again from "
            f"{_ADDRESS}"
        ) from error


def _open(file: Path) -> IO[bytes]:
    return file.open("rb")


@contextmanager
def _innermost(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipFile]:
    """Yield the archive, or the one zip archive in it: some of UCI's downloads are packed twice."""
    names = archive.namelist()
    inner = [name for name in names if name.lower().endswith(".zip")]
    if len(inner) == 1 and not any(_number(name) for name in names):
        with zipfile.ZipFile(io.BytesIO(archive.read(inner[0]))) as nested:
            yield nested
    else:
        yield archive


def _number(name: str) -> int | None:
    """Return the number of a batch file, None for any other file."""
    match = _BATCH.fullmatch(re.split(r"[/\\]", name)[-1])
    return int(match.group(1)) if match else None


def _in_order(files: Mapping[str, _Opener], location: Path) -> list[tuple[str, _Opener]]:
    numbered: dict[int, str] = {}
    for name in files:
        number = _number(name)
        if number is None:
            continue
        if number in numbered:
            raise ValueError(
                f"path: {location} holds batch {number} twice: {numbered[number]!r} and {name!r}"
            )
        numbered[number] = name
    if not numbered:
        raise ValueError(
            f"path: {location} holds no files batch1.dat to batch10.dat; expected the archive "
            f"from {_ADDRESS}"
        )
    return [(numbered[number], files[numbered[number]]) for number in sorted(numbered)]


def _measurements(stream: IO[bytes], name: str, label: int) -> Iterator[list[float]]:
    """Yield concentration and features of each line with the label."""
    for number, line in enumerate(stream, start=1):
        text = line.decode("utf-8", errors="replace")
        if not text.strip():
            continue
        try:
            head, *features = text.split()
            gas, concentration = head.split(";")
            if int(gas) not in range(1, len(GASES) + 1):
                raise ValueError(f"unknown gas label {gas}")
            if int(gas) == label:
                yield [_finite(concentration), *_features(features)]
        except ValueError as error:
            raise ValueError(
                f"{name}, line {number}: expected 'gas;concentration 1:value ... "
                f"{_N_FEATURES}:value', got {text.strip()[:40]!r}... ({error})"
            ) from None


def _features(fields: list[str]) -> list[float]:
    if len(fields) != _N_FEATURES:
        raise ValueError(f"{len(fields)} features instead of {_N_FEATURES}")
    values = []
    for position, field in enumerate(fields, start=1):
        number, _, value = field.partition(":")
        if number != str(position):
            raise ValueError(f"feature {position} reads {field!r}")
        values.append(_finite(value))
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value
