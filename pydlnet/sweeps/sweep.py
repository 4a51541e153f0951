"""Any experiment over a grid: every point once, whatever happens."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from .._validation import as_flag
from .definition import Definition
from .functions import as_swept
from .grid import as_grid
from .launch import Computed, launch
from .opened import Sweep
from .options import as_options
from .work import FunctionJob, Job

__all__ = ["sweep"]


def sweep(
    function: Callable[..., Any],
    grid: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    store: str | PathLike[str],
    n_jobs: int | None = None,
    version: str = "",
    rng: int | np.random.Generator | None = None,
    recompute: bool = False,
    verify: bool = True,
    keep_trajectories: bool = False,
    shard: tuple[int, int] | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Sweep:
    """Call a function at every point of a grid and keep what it returns.

    Launching the same sweep again goes on where it was: points that are done are not computed
    again, and a larger grid in the same folder adds its points.

    Parameters
    ----------
    function : callable
        `function(**parameters)`, which returns a `Trajectory`, an `xarray.Dataset`, or a mapping of
        names to numbers, strings or arrays. If it has a parameter `rng` that the grid does not
        name, it gets a `numpy.random.Generator` of the point's own. Keywords that a
        `functools.partial` has bound count as parameters of all points.
    grid : mapping of str to sequence, or sequence of mappings
        The values of each parameter, of which all combinations are computed; or the points
        themselves. A value is a number, a string, a bool, None, an array, a problem, a method or
        another frozen dataclass, a function of a module, or a list, tuple or mapping of these. In
        place of a sequence of values there may be a mapping, whose keys become their labels.
    store : path-like
        Folder for the results, made if it is not there.
    n_jobs : int, optional
        How many points are computed at a time, -1 for as many as there are processors. Default: 1,
        unless a surrounding `joblib.parallel_config` says otherwise.
    version : str, default ""
        Part of the names of all points: another version computes them all anew.
    rng : int, numpy.random.Generator or None
        Seed of the generators of all points. Default: that of the folder, or a random one.
    recompute : bool, default False
        Whether to compute points that are done as well.
    verify : bool, default True
        Whether to read what is done and compare it with its checksums before going on: about 0.1 ms
        a point, and more for large results.
    keep_trajectories : bool, default False
        Whether to write a returned Trajectory whole, so that it can go on: about 20 times as dear
        as its records alone, which are always kept.
    shard : tuple of int, optional
        (number, count), 1 <= number <= count: compute only every count-th point, from the number-th
        on. Several processes or machines, one for each number, make up the sweep.
    executor : concurrent.futures.Executor, optional
        Who computes the points in place of joblib: a process pool, or what Dask
        (`client.get_executor()`), MPI or others offer with that interface.
    progress : bool, optional
        Whether to show a progress bar; by default in terminals and notebooks only.

    Returns
    -------
    Sweep
        `data` is one dataset over the grid, read when it is used; `failures` has the points whose
        function raised.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the first point.
    RuntimeError
        If worker processes died or a cluster went away: what was done is kept.
    OSError
        If the folder cannot be written.
    KeyboardInterrupt
        On Ctrl-C: a run that it ends is not taken for a finished point.

    Warns
    -----
    UserWarning
        If points failed, or if the text of the function, or what it captures, is another one than
        when points were computed that are kept.

    Notes
    -----
    A point is named by a SHA-256 of its parameters, the function's qualified name and `version`.
    Equal numbers are one value, of whatever type: 1, 1.0 and ``np.float64(1.0)``, but not True; the
    function gets NumPy scalars as Python numbers. Arrays count by dtype, shape and content, tuples
    as lists. A result is written beside its final place and moved there when it is complete, with a
    checksum: what a crash or a broken disk leaves is found and computed anew. Points that failed
    are tried again by the next launch.

    The generator of a point is ``default_rng(SeedSequence(seed, spawn_key=...))`` with the point's
    name as key: it depends neither on order nor on workers nor on other points.

    Several launches may write to one folder at the same time, on several machines that share it: a
    point that two of them compute is written twice, and both times whole.

    Threads are used by default, as runs leave Python's lock; ``with
    joblib.parallel_config(backend="loky")`` uses processes, ``backend="dask"`` a Dask cluster.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> def experiment(depth, learning_rate, rng):
    ...     problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    ...     start = dln.init.balanced([2] * (depth + 1), scale=0.1, rng=rng)
    ...     method = dln.GradientDescent(learning_rate)
    ...     return dln.run(problem, start, method, n_steps=200)
    >>> grid = {"depth": [1, 2, 3], "learning_rate": [0.01, 0.1]}
    >>> folder = tempfile.TemporaryDirectory()
    >>> result = dln.sweep(experiment, grid, store=f"{folder.name}/depths", rng=0, progress=False)
    >>> result.data["loss"].dims
    ('depth', 'learning_rate', 'step')
    >>> result.data["final_loss"].sel(learning_rate=0.1).values < 1e-3
    array([ True,  True,  True])
    >>> folder.cleanup()
    """
    options = as_options(
        store=store,
        n_jobs=n_jobs,
        version=version,
        rng=rng,
        recompute=recompute,
        verify=verify,
        shard=shard,
        executor=executor,
        progress=progress,
    )
    keep = as_flag(keep_trajectories, "keep_trajectories")
    swept = as_swept(function)
    points = as_grid(grid, swept.identity(version))
    takes_rng = swept.check(points.axes)
    if rng is not None and not takes_rng:
        raise TypeError(
            f"rng: expected None, as {swept.name} has no parameter rng to fill, got one"
        )

    def job(definition: Definition) -> Job:
        path, seed = options.folder.path, definition.seed
        return FunctionJob(path, seed, swept.source, options.recompute, function, takes_rng, keep)

    return launch(Computed(swept.name, swept.source, takes_rng), points, options, job)
