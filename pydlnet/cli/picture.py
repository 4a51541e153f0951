"""Pictures that the command line writes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln

__all__ = ["PICTURE_ENDINGS", "draw_depths", "draw_run"]

PICTURE_ENDINGS = (".png", ".pdf", ".svg")


def draw_run(trajectory: dln.Trajectory, path: Path) -> None:
    """Write a picture of the loss and, if recorded, of the singular values.

    Parameters
    ----------
    trajectory : Trajectory
        A run that recorded the loss.
    path : Path
        Its ending chooses the format.
    """
    from matplotlib.figure import Figure

    panels = 2 if "singular_value" in trajectory.data else 1
    figure = Figure(figsize=(5.5 * panels, 4.0), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    dln.plot.loss(trajectory, axes[0])
    if panels == 2:
        dln.plot.singular_values(trajectory, axes[1])
    figure.savefig(path)


def draw_depths(
    trajectories: Mapping[int, dln.Trajectory], truth: NDArray[np.float64], path: Path
) -> None:
    """Write a picture of the losses of several depths and the singular values of each.

    Parameters
    ----------
    trajectories : mapping of int to Trajectory
        Runs by depth, three of them.
    truth : ndarray, shape (d_N, d_0)
        The matrix to recover; its singular values are dashed lines.
    path : Path
        Its ending chooses the format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 7.0), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for depth, trajectory in trajectories.items():
        dln.plot.loss(trajectory, axes[0], label=f"depth {depth}")
    axes[0].legend()
    axes[0].set_ylabel("loss on the observed entries")
    for panel, (depth, trajectory) in zip(axes[1:], trajectories.items(), strict=True):
        dln.plot.singular_values(trajectory, panel, modes=10, truth=truth)
        panel.set_title(f"depth {depth} (dashed: the matrix to recover)")
        panel.set_ylabel("ten largest singular values of W")
        panel.set_ylim(0.0, 1.1 * float(dln.metrics.singular_values(truth)[0]))
    for panel in axes:
        panel.tick_params(labelbottom=True)
    figure.savefig(path, dpi=120)
