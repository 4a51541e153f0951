"""``pydlnet report``: a page about a run, an ensemble or a sweep."""

import shlex
from pathlib import Path

import pydlnet as dln
from pydlnet.storage.files import is_sweep

from .build import build
from .config import load
from .text import say, size

__all__ = ["report_path"]


def report_path(
    path: Path, output: Path, experiment: Path | None, settings: list[str], title: str | None
) -> int:
    """Write the page.

    Parameters
    ----------
    path : Path
        A saved run, a store, the saved data of an ensemble, or the folder of a sweep.
    output : Path
        The page.
    experiment : Path or None
        The file it was made with, which knows the problem and says how it is repeated.
    settings : list of str
        ``key=value``, in place of what that file says.
    title : str or None
        Heading of the page.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    ValueError
        If there is nothing at that path, the experiment is that of another run, or there are
        settings without one.
    """
    if not path.exists():
        raise ValueError(f"no file or folder {str(path)!r}")
    if experiment is None and settings:
        raise ValueError("--set: expected --experiment FILE.toml, whose keys are replaced")
    of_sweep = is_sweep(path)
    problem = repeat = None
    if experiment is not None:
        if not of_sweep:
            problem = build(load(experiment, settings)).problem
        repeat = _repeat(experiment, settings, "sweep" if of_sweep else "run")
    written = dln.report(path, output, problem=problem, title=title, repeat=repeat)
    say(f"wrote {written}, {size(written.stat().st_size)}")
    return 0


def _repeat(experiment: Path, settings: list[str], command: str) -> str:
    """Return the command, and the file as it is now."""
    flags = [part for setting in settings for part in ("--set", setting)]
    line = shlex.join(["pydlnet", command, str(experiment), *flags])
    try:
        text = experiment.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"experiment: cannot read {str(experiment)!r}: {error}") from None
    return f"{line}\n\n# {experiment.name}\n{text}"
