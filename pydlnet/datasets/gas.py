"""Measurements of chemical sensors, from the archive that UCI offers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from operator import index
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from .._validation import hint
from .archives import Files, base_name, existing, opened
from .downloads import Remote, fetch

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["GASES", "gas_sensor", "is_batch"]

GASES = ("ethanol", "ethylene", "ammonia", "acetaldehyde", "acetone", "toluene")
"""Gases of the gas sensor data set; the label in UCI's files is the position here plus one."""

ARCHIVE = Remote(
    "gas_sensor.zip",
    "https://archive.ics.uci.edu/static/public/270/"
    "gas+sensor+array+drift+dataset+at+different+concentrations.zip",
    "https://doi.org/10.24432/C5MK6M",
)

_N_FEATURES = 128
_N_BATCHES = 10
_N_MEASUREMENTS = 13_910  # of all gases, as stated on UCI's page
_BATCH = re.compile(r"batch(\d+)\.dat", re.IGNORECASE)


def gas_sensor(
    path: str | os.PathLike[str] | None = None, gas: str | int = "ethanol"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read one gas of UCI's "Gas Sensor Array Drift at Different Concentrations".

    Concentration of a gas from 8 features of each of 16 chemical sensors: the regression task of
    [1]_ and [2]_, who use ethanol (2,565 measurements in the full archive).

    Parameters
    ----------
    path : str or path-like, optional
        The zip archive as downloaded from https://doi.org/10.24432/C5MK6M, with or without a
        folder ``Dataset/`` in it, the folder it was unpacked into, or one of the files in it,
        ``batch1.dat`` to ``batch10.dat``. Default: the archive is downloaded to the user's cache
        (``~/.cache/pydlnet/gas_sensor.zip`` on Linux) when it is not there.
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
    ConnectionError
        If the archive has to be downloaded and cannot be; the message says where to put one that
        was obtained in another way.

    Notes
    -----
    The columns differ in scale by five orders of magnitude and the condition number of the centred
    inputs is about 1e7: whiten them with `pydlnet.whiten`, which never forms their covariance.

    UCI publishes no checksum of the archive. A download is kept only if it is an undamaged archive
    (zip files carry checksums of their own) with 10 batches and 13,910 well-formed measurements,
    the numbers that UCI states. An archive given by its path may hold fewer.

    Licence: CC BY 4.0 in UCI's metadata; an older sentence on UCI's page allows research use only.
    Whoever uses the data cites [3]_ and [4]_. The package ships no copy.

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
    location = fetch(ARCHIVE, _check_complete) if path is None else existing(path, ARCHIVE.page)
    measurements = list(_measurements(location, label))
    if not measurements:
        raise ValueError(f"gas: {location} has no measurements of {GASES[label - 1]} ({label})")
    table = np.array(measurements, dtype=np.float64)
    return np.ascontiguousarray(table[:, 1:]), np.ascontiguousarray(table[:, :1])


def is_batch(name: str) -> bool:
    """Say whether a file in an archive has the name of a batch."""
    return _number(name) is not None


def _check_complete(location: Path) -> None:
    """Raise ValueError unless all is there that UCI states."""
    with opened(location, ARCHIVE.page, is_batch) as files:
        n_batches = len(_in_order(files, location))
    n_measurements = sum(1 for _ in _measurements(location))
    if (n_batches, n_measurements) != (_N_BATCHES, _N_MEASUREMENTS):
        raise ValueError(
            f"expected {_N_BATCHES} batches with {_N_MEASUREMENTS:,} measurements, got "
            f"{n_batches} with {n_measurements:,}"
        )


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


def _measurements(location: Path, label: int | None = None) -> Iterator[list[float]]:
    """Yield concentration and features of each measurement of a gas, or of every gas."""
    if location.is_file() and is_batch(location.name):
        with location.open("rb") as stream:
            yield from _lines(stream, str(location), label)
        return
    with opened(location, ARCHIVE.page, is_batch) as files:
        for name in _in_order(files, location):
            with files[name]() as stream:
                yield from _lines(stream, f"{location}: {name}", label)


def _number(name: str) -> int | None:
    """Return the number of a batch file, None for any other file."""
    match = _BATCH.fullmatch(base_name(name))
    return int(match.group(1)) if match else None


def _in_order(files: Files, location: Path) -> list[str]:
    """Return the names of the batch files in numeric order."""
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
            f"from {ARCHIVE.page}"
        )
    return [numbered[number] for number in sorted(numbered)]


def _lines(stream: IO[bytes], name: str, label: int | None) -> Iterator[list[float]]:
    """Yield concentration and features of each line with the label, or of every line."""
    for number, line in enumerate(stream, start=1):
        text = line.decode("utf-8", errors="replace")
        if not text.strip():
            continue
        try:
            head, *features = text.split()
            gas, concentration = head.split(";")
            if int(gas) not in range(1, len(GASES) + 1):
                raise ValueError(f"unknown gas label {gas}")
            if label is None or int(gas) == label:
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
