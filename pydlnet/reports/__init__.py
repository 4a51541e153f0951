"""Reports: one page that shows a run, an ensemble or a sweep, and needs nothing else.

Bokeh is needed, and loaded, when a report is made.
"""

import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from .._validation import as_path
from ..ensembles import EnsembleTrajectory
from ..problems import Problem
from ..storage import open_trajectory
from ..storage.ensembles import open_ensemble
from ..storage.files import is_sweep
from ..sweeps import Sweep, open_sweep
from ..trajectory import Trajectory
from .page import Section, render, require_bokeh

__all__ = ["report"]

ENDINGS = (".html", ".htm")

Source = Trajectory | EnsembleTrajectory | Sweep | xr.Dataset


def report(
    source: Source | str | PathLike[str],
    output: str | PathLike[str] = "report.html",
    *,
    problem: Problem | None = None,
    title: str | None = None,
    repeat: str | None = None,
) -> Path:
    """Write a page that shows a run, an ensemble or a sweep: one file that needs no network.

    Parameters
    ----------
    source : Trajectory, EnsembleTrajectory, Sweep, Dataset or path-like
        What to show; a Dataset is the data of an ensemble. A path is what `Trajectory.save` or
        `EnsembleTrajectory.save` wrote, a store, also while its run goes on, the folder of a sweep,
        or the data of an ensemble as `ensemble.data.to_netcdf` wrote it.
    output : path-like, default "report.html"
        Where to write, ending in ``.html``; replaced in one piece if it exists.
    problem : Problem, optional
        What was minimised, which a saved run does not know: with it theory is laid over the
        measurement and the target is drawn beside the end-to-end matrix. Of an ensemble, and of a
        sweep that kept its trajectories, up to 40 runs of this problem are compared with theory,
        with the certificate of each.
    title : str, optional
        Heading of the page; by default what is shown.
    repeat : str, optional
        How it is made again, shown as it stands; by default Python that is made of what was saved.

    Returns
    -------
    Path
        Where the page is.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, a file cannot be read as one of these, or `problem` is not
        that of the run.
    FileNotFoundError
        If there is nothing at the path, or no folder to write to.
    OSError
        If the page cannot be written; what was there before stays.
    ImportError
        If Bokeh is not installed (extra ``report``).

    Notes
    -----
    Long runs and large matrices are thinned so that a page stays below 5 MB, and the page says so.
    The end-to-end matrix is drawn where `end_to_end` or `weights` were recorded.

    Examples
    --------
    >>> import tempfile
    >>> import pydlnet as dln
    >>> trajectory = dln.run(
    ...     dln.TargetMatrix([[3.0, 0.0], [0.0, 1.0]]),
    ...     dln.init.balanced((2, 2, 2), scale=0.1, rng=0),
    ...     dln.GradientDescent(0.01),
    ...     n_steps=1000,
    ...     record=dln.Record(["loss", "singular_values", "end_to_end"]),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dln.report(trajectory, f"{folder}/report.html").stat().st_size < 5_000_000
    True
    """
    target = _as_target(output)
    _check_texts(problem, title=title, repeat=repeat)
    shown, path = _open(source)
    require_bokeh()
    subtitle, sections = _sections(shown, path, problem, repeat)
    page = render(_title(shown, path) if title is None else title, subtitle, sections)
    _write(page, target)
    return target


def _as_target(output: str | PathLike[str]) -> Path:
    target = as_path(output, "output")
    if target.suffix.lower() not in ENDINGS:
        raise ValueError(f"output: expected a name ending in .html, got {str(target)!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"output: expected an existing folder, found none at {target.parent}"
        )
    if target.is_dir():
        raise ValueError(f"output: expected a file or nothing at {target}, got a folder")
    return target


def _check_texts(problem: object, **texts: object) -> None:
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name}: expected a str, got {type(text).__name__}")
    if problem is not None and not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a Problem, got {type(problem).__name__}")


def _open(source: Any) -> tuple[Source, Path | None]:
    """Return what is shown, and where it comes from."""
    if isinstance(source, Trajectory | EnsembleTrajectory):
        return source, None
    if isinstance(source, Sweep):
        return source, source.path
    if isinstance(source, xr.Dataset):
        return _as_ensemble(source, "source"), None
    path = as_path(source, "source")
    if is_sweep(path):
        return open_sweep(path), path
    try:
        return open_trajectory(path), path
    except ValueError:
        found = saved_ensemble(path)
        if found is None:
            raise
        return found, path


def saved_ensemble(path: Path) -> EnsembleTrajectory | xr.Dataset | None:
    """Return a saved ensemble, or its data alone as xarray wrote it; None if it is neither."""
    try:
        return open_ensemble(path)
    except (ValueError, OSError, ImportError):
        return _data_alone(path)


def _data_alone(path: Path) -> xr.Dataset | None:
    try:
        if path.suffix == ".zarr":
            data = xr.open_zarr(path).load()
        else:
            with xr.open_dataset(path, engine="h5netcdf") as opened:
                data = opened.load()
        # One of this package that does not open is damaged.
        return None if "pydlnet_layout" in data.attrs else _as_ensemble(data, str(path))
    except (ValueError, OSError, ImportError, KeyError):
        return None


def _as_ensemble(data: xr.Dataset, name: str) -> xr.Dataset:
    for variable in ("status", "last_step"):
        if variable not in data or data[variable].dims != ("run",):
            raise ValueError(
                f"{name}: expected the data of an ensemble, which has {variable} over run, got "
                f"variables {', '.join(map(str, data.data_vars)) or 'none'}"
            )
    if "step" not in data.coords or not data.sizes["run"] or not data.sizes["step"]:
        raise ValueError(f"{name}: expected the data of an ensemble, with records over step")
    return data


def _sections(
    shown: Source, path: Path | None, problem: Problem | None, repeat: str | None
) -> tuple[str, list[Section]]:
    if isinstance(shown, Trajectory):
        from .of_run import sections_of_run

        return sections_of_run(shown, problem, path, repeat)
    if isinstance(shown, Sweep):
        from .of_sweep import sections_of_sweep

        return sections_of_sweep(shown, problem, repeat)
    from .of_ensemble import sections_of_ensemble

    if problem is not None and isinstance(shown, xr.Dataset):
        raise ValueError(
            "problem: expected None with the data of an ensemble, which lack its layers; give what "
            "run_ensemble returned, or what EnsembleTrajectory.save wrote"
        )
    return sections_of_ensemble(shown, problem, path, repeat)


def _title(shown: Source, path: Path | None) -> str:
    if path is not None:
        return path.absolute().name
    return "Run" if isinstance(shown, Trajectory) else "Ensemble"


def _write(page: str, target: Path) -> None:
    """Write the page beside its place and move it there: complete, or not there."""
    try:
        with tempfile.TemporaryDirectory(prefix=".pydlnet-", dir=target.parent) as folder:
            draft = Path(folder) / target.name
            # Names of files need not be UTF-8, and are shown.
            draft.write_text(page, encoding="utf-8", errors="replace")
            os.replace(draft, target)
    except OSError as error:
        raise OSError(f"output: cannot write {target}: {error.strerror or error}") from None
