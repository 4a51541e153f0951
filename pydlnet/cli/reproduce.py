"""``pydlnet reproduce``: the experiments of a paper, datasets, figures and a summary."""

from pathlib import Path
from typing import Any

from pydlnet.reproduce import EXPERIMENTS

from .config import nearest
from .text import say

__all__ = ["reproduce"]


def reproduce(name: str, output: Path | None, **settings: Any) -> int:
    """Run an experiment and write what comes out.

    Parameters
    ----------
    name : str
        Which one.
    output : Path or None
        Folder; None stands for `pydlnet-NAME`.
    **settings
        As `pydlnet.reproduce.Experiment` takes them.

    Returns
    -------
    int
        Exit code: 0.

    Raises
    ------
    ValueError
        If there is no such experiment, or a setting is not as it should be.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}{nearest(name, list(EXPERIMENTS))}")
    experiment = EXPERIMENTS[name]
    folder = Path(f"pydlnet-{name}") if output is None else output
    experiment(folder, **settings, say=say)
    say(f"\nWrote datasets, figures and summary.md to {folder}.")
    return 0
