"""Saved trajectories with wrong bytes in them: refused by name, or what was saved."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import pydlnet as dln

from .draws import Draws

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def check(data: bytes) -> None:
    """Open a trajectory of which some bytes are others, or a part is missing."""
    draws = Draws(data)
    suffix = draws.one_of((".nc", ".zarr"))
    path = FOLDER / f"damaged{suffix}"
    files = saved(suffix)
    chosen = draws.one_of(list(files))
    for name, content in files.items():
        file = path / name if name else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(damaged(content, draws) if name == chosen else content)
    try:
        same(dln.open(path), trajectory())
    except (ValueError, OSError) as error:
        if str(path) not in str(error):
            raise AssertionError("an error that does not name the path") from error
    finally:
        shutil.rmtree(path, ignore_errors=True)


def damaged(content: bytes, draws: Draws) -> bytes:
    if draws.is_odd(4):
        return content[: draws.below(len(content) + 1)]
    changed = bytearray(content)
    for _ in range(1 + draws.below(3)):
        changed[(draws.below(60000) + draws.below(60000)) % len(content)] ^= 1 << draws.below(8)
    return bytes(changed)


def same(opened: dln.Trajectory, expected: dln.Trajectory) -> None:
    assert (opened.status, opened.step) == (expected.status, expected.step)
    for one, other in zip(opened.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@cache
def trajectory() -> dln.Trajectory:
    start = dln.init.balanced((3, 4, 2), scale=0.5, rng=0)
    method = dln.Momentum(0.1, momentum=0.9)
    problem = dln.TargetMatrix(np.ones((2, 3)))
    return dln.run(problem, start, method, n_steps=5, progress=False)


@cache
def saved(suffix: str) -> dict[str, bytes]:
    """Return every file of a saved trajectory by its name, which of a single one is empty."""
    path = FOLDER / f"good{suffix}"
    trajectory().save(path)
    if path.is_file():
        return {"": path.read_bytes()}
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
