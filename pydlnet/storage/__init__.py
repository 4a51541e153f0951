"""Trajectories on disk: finished ones in files, and stores that grow with their run.

Zarr is needed, and loaded, for what ends in ``.zarr`` only.
"""

from os import PathLike

from .._validation import as_path
from ..trajectory import Trajectory
from .files import is_sweep
from .saved import check_target, open_saved, require_zarr, save

__all__ = ["check_target", "open_trajectory", "require_zarr", "save"]


def open_trajectory(path: str | PathLike[str], *, verify: bool = False) -> Trajectory:
    """Open a saved trajectory or the store of a run; its data is read when it is used.

    Parameters
    ----------
    path : path-like
        Written by `Trajectory.save`, ending in ``.nc`` or ``.zarr``, or by `run` with ``store=``,
        also while that run goes on: what it had committed is seen, and nothing later.
    verify : bool, default False
        Whether to read all records of a store now and to compare them with the checksums kept of
        them. Damage to its records is noticed without it, too, but only when they are used. A file
        is always compared.

    Returns
    -------
    Trajectory
        It continues bit for bit. Functions of the user's (quantities, a learning rate) are known
        by name only and have to be given again.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that path.
    ValueError
        If it is not a saved trajectory, one of another layout, or damaged.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> dln.run(problem, start, dln.GradientDescent(0.1), n_steps=100).save("run.nc")
    >>> opened = dln.open("run.nc")
    >>> dln.run(problem, opened, n_steps=50).step
    150
    """
    if not isinstance(verify, bool):
        raise TypeError(f"verify: expected a bool, got {type(verify).__name__}")
    target = as_path(path, "path")
    if target.suffix == ".zarr" and target.is_dir():
        require_zarr()
        from .reader import is_store, open_store

        if is_store(target):
            return open_store(target, verify=verify)
    if is_sweep(target):
        raise ValueError(f"path: expected a trajectory, got a sweep in {target}; use open_sweep")
    return open_saved(target)
