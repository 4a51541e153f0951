"""The end-to-end matrix as it changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .._validation import as_count, as_real
from .matrices import matrices_of, names_in, panels_of, target_of, where_is
from .sources import HasData, dataset_of

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

__all__ = ["animate_end_to_end"]


def animate_end_to_end(
    trajectory: HasData | xr.Dataset,
    axes: "Sequence[Axes] | None" = None,
    *,
    target: ArrayLike | None = None,
    n_frames: int = 100,
    interval: float = 50.0,
    **kwargs: Any,
) -> "FuncAnimation":
    """Animate the end-to-end matrix along a run, beside the target.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "end_to_end" or "weights".
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw: two of one figure if there is a target, else one. Default: those of a new
        figure.
    target : array_like, shape (d_N, d_0), optional
        Default: the ground truth of the problem, if the trajectory has its problem and that knows.
    n_frames : int, default 100
        How many of the records to show at most, at least 1: evenly among them, so that log-spaced
        records make a logarithmic film. Those whose matrix is not finite are left out.
    interval : float, default 50
        Milliseconds between two frames, above 0.
    **kwargs
        For `matplotlib.axes.Axes.imshow`.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep it until it is saved or shown. ``animation.save("run.gif", writer="pillow")`` needs
        nothing that Matplotlib does not bring, ``animation.save("run.mp4")`` needs FFmpeg, and in a
        notebook ``IPython.display.HTML(animation.to_jshtml())`` shows it. Colours are those of
        `end_to_end`, the same in all frames.

    Raises
    ------
    ValueError, TypeError
        If the matrix was not recorded, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("end_to_end", every=50)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> animation = dln.plot.animate_end_to_end(trajectory, target=problem.target)
    >>> animation.save("run.gif", writer="pillow")
    """
    from matplotlib.animation import FuncAnimation

    data = dataset_of(trajectory, "trajectory")
    most, pause = as_count(n_frames, "n_frames", 1), as_real(interval, "interval", positive=True)
    matrices = matrices_of(data).values
    finite = np.flatnonzero(np.isfinite(matrices).all(axis=(1, 2)))
    if not finite.size:
        raise ValueError("trajectory: expected a finite end-to-end matrix in some record, got none")
    places = finite[np.linspace(0, finite.size - 1, min(most, finite.size)).round().astype(int)]
    known = target_of(trajectory, target, matrices.shape[1:])
    largest = np.abs(matrices[places]).max()
    names = names_in(trajectory, data)
    panels = panels_of(matrices[places[0]], known, largest, axes, kwargs, names)

    def show(frame: int) -> "tuple[Any, ...]":
        place = int(places[frame])
        panels.show(matrices[place], where_is(data, place))
        return (panels.image,)

    show(0)
    figure = panels.axes[0].figure.canvas.figure  # the whole one, also of axes in a part of it
    return FuncAnimation(
        figure, show, frames=len(places), interval=pause, blit=False, cache_frame_data=False
    )
