"""The end-to-end matrix beside the matrix that it should become."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from .. import chain
from .._validation import FloatArray, as_count, as_matrix, is_sequence
from ..names import Coords, recorded_names, shortened, text_of
from ..trajectory import Trajectory
from .axes import across_of, as_axes
from .sources import HasData, dataset_of, recorded, require_one_run
from .style import DIVERGING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = [
    "Panels",
    "end_to_end",
    "is_recorded",
    "matrices_of",
    "names_in",
    "panels_of",
    "target_of",
]


def end_to_end(
    trajectory: HasData | xr.Dataset,
    axes: "Sequence[Axes] | None" = None,
    *,
    step: int | None = None,
    target: ArrayLike | None = None,
    **kwargs: Any,
) -> "tuple[Axes, ...]":
    """Draw the end-to-end matrix beside the target.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "end_to_end" or "weights". The last step of a Trajectory needs neither.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw: two of one figure if there is a target, else one. Default: those of a new
        figure.
    step : int, optional
        The recorded step to show; of a flow, the number of the record. Default: the last one whose
        matrix is finite.
    target : array_like, shape (d_N, d_0), optional
        Default: the ground truth of the problem, if the trajectory has its problem and that knows.
    **kwargs
        For `matplotlib.axes.Axes.imshow`.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        Two, or one if there is no target. Both have the same colours, white being zero, up to the
        largest entry of the target if there is one. Up to 20 inputs or outputs that have names are
        called by them.

    Raises
    ------
    ValueError, TypeError
        If the matrix was not recorded, or not at that step, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("end_to_end", every=50)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.end_to_end(trajectory, target=problem.target)
    >>> axes[0].figure.savefig("picture.png")
    """
    data = dataset_of(trajectory, "trajectory")
    matrix: NDArray[Any]
    if isinstance(trajectory, Trajectory) and step is None and not is_recorded(data):
        matrix, where = chain.product(trajectory.weights), "in the end"
    else:
        matrices = matrices_of(data)
        place = _last_finite(matrices) if step is None else _place_of(data, step)
        matrix, where = matrices[place].values, where_is(data, place)
    known = target_of(trajectory, target, matrix.shape)
    names = names_in(trajectory, data)
    panels = panels_of(matrix, known, np.abs(matrix).max(), axes, kwargs, names)
    panels.axes[0].set_title(f"{_TITLE} {where}")
    return panels.axes


_TITLE = "end-to-end matrix"

# Names of rows and columns: so many at most, of so many letters, of this size in points.
_MOST_NAMES = 20
_LONGEST_NAME = 24
_FONT = 8.0
_LETTER = 0.6
# Entries of matrices that are so many times longer than wide are not drawn as squares.
_LONGEST = 4


@dataclass(frozen=True)
class Panels:
    """Where a matrix is, and beside it the target if there is one."""

    axes: "tuple[Axes, ...]"
    image: "AxesImage"

    def show(self, matrix: NDArray[Any], where: str) -> None:
        """Put another matrix in its place."""
        self.image.set_data(matrix)
        self.axes[0].set_title(f"{_TITLE} {where}")


def panels_of(
    matrix: NDArray[Any],
    target: FloatArray | None,
    largest: float,
    axes: "Sequence[Axes] | None",
    kwargs: dict[str, Any],
    names: Coords,
) -> Panels:
    """Draw a matrix and the target with common colours.

    Parameters
    ----------
    matrix, target : ndarray, shape (d_N, d_0)
        What to show; there may be no target.
    largest : float
        The largest entry, in size, that the matrix will have.
    axes : sequence of Axes or None
        The user's; checked here.
    kwargs : dict
        The user's, for `Axes.imshow`.
    names : dict of str to ndarray
        Of inputs and outputs, if they have any.

    Returns
    -------
    Panels
        With a colour bar.
    """
    from matplotlib.ticker import MaxNLocator

    chosen = _as_panels(axes, 1 if target is None else 2)
    limit = float(largest if target is None else np.abs(target).max()) or 1.0
    shape = np.shape(matrix)
    aspect = "equal" if max(shape) <= _LONGEST * min(shape) else "auto"
    style = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit, "aspect": aspect, **kwargs}
    image = chosen[0].imshow(matrix, **style)
    if target is not None:
        chosen[1].imshow(target, **style)
        chosen[1].set_title("target")
    for panel in chosen:
        panel.set_xlabel("input")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    chosen[0].set_ylabel("output")
    _write_names(chosen, names)
    beyond = "both" if largest > limit else "neither"
    chosen[0].figure.colorbar(image, ax=chosen, label="entry", extend=beyond)
    return Panels(chosen, image)


def names_in(trajectory: HasData | xr.Dataset, data: xr.Dataset) -> Coords:
    """Return the names of inputs and outputs that the data has, or else the problem of a run."""
    known: Coords = {}
    if isinstance(trajectory, Trajectory) and trajectory.problem is not None:
        known = trajectory.problem.names_at(trajectory.widths[-1])
    return {**known, **recorded_names(data)}


def _write_names(panels: "tuple[Axes, ...]", names: Coords) -> None:
    """Write names beside rows and columns, where they are few enough to be read."""
    texts = {
        side: [shortened(text_of(name), _LONGEST_NAME) for name in labels]
        for side, labels in names.items()
        if labels.size <= _MOST_NAMES
    }
    for number, panel in enumerate(panels):
        if "input" in texts:
            width = 72.0 * panel.get_window_extent().width / panel.figure.dpi
            letters = max(map(len, texts["input"])) + 1
            is_wide = letters * _LETTER * _FONT * len(texts["input"]) > width
            style: dict[str, Any] = {"rotation": 90 if is_wide else 0, "fontsize": _FONT}
            panel.set_xticks(range(len(texts["input"])), texts["input"], parse_math=False, **style)
        if "output" in texts:
            labels = texts["output"] if number == 0 else [""] * len(texts["output"])
            panel.set_yticks(range(len(labels)), labels, fontsize=_FONT, parse_math=False)


def _as_panels(axes: "Sequence[Axes] | None", count: int) -> "tuple[Axes, ...]":
    from matplotlib.figure import Figure

    if axes is None:
        figure = Figure(figsize=(3.6 * count + 1.0, 3.8), layout="constrained")
        return tuple(figure.subplots(1, count, squeeze=False)[0])
    what = "two axes, for the matrix and the target" if count == 2 else "one axes, in a sequence"
    if not is_sequence(axes) or len(axes) != count:
        got = len(axes) if is_sequence(axes) else type(axes).__name__
        raise ValueError(f"axes: expected {what}, got {got}")
    return tuple(as_axes(ax) for ax in axes)


def is_recorded(data: xr.Dataset) -> bool:
    """Say whether the end-to-end matrices are there, or the layers that they are made of."""
    return "end_to_end" in data or "W1" in data


def matrices_of(data: xr.Dataset) -> xr.DataArray:
    """Return the end-to-end matrix of every record, NaN where it is not known."""
    if "end_to_end" in data or "W1" not in data:
        matrices = recorded(data, "end_to_end", ["end_to_end"], "trajectory")
        return require_one_run(matrices, ("step", "output", "input"), "trajectory")
    depth = sum(f"W{j}" in data for j in range(1, len(data) + 1))
    dims = ["input", *(f"hidden_{j}" for j in range(1, depth)), "output"]
    layers = [
        require_one_run(data[f"W{j}"], ("step", dims[j], dims[j - 1]), "trajectory").values
        for j in range(1, depth + 1)
    ]
    products = [_product(record) for record in zip(*layers, strict=True)]
    return xr.DataArray(np.array(products), dims=("step", "output", "input"))


def _product(layers: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    if all(np.isfinite(layer).all() for layer in layers):
        return chain.product(layers)
    return np.full((len(layers[-1]), layers[0].shape[1]), np.nan)


def target_of(
    trajectory: HasData | xr.Dataset, target: ArrayLike | None, shape: tuple[int, ...]
) -> FloatArray | None:
    """Return the user's target, or the ground truth that the problem of a run knows."""
    if target is not None:
        return as_matrix(target, "target", shape=(shape[0], shape[1]))
    problem = trajectory.problem if isinstance(trajectory, Trajectory) else None
    return None if problem is None else problem.ground_truth


def where_is(data: xr.Dataset, place: int) -> str:
    """Return such as "at step 10"."""
    across = across_of(data, None)
    value = across.values[place]
    return f"at {across.name} {value:.4g}" if across.name == "time" else f"at step {value}"


def _last_finite(matrices: xr.DataArray) -> int:
    for place in range(matrices.sizes["step"] - 1, -1, -1):
        if np.isfinite(matrices[place].values).all():
            return place
    raise ValueError("trajectory: expected a record whose end-to-end matrix is finite, got none")


def _place_of(data: xr.Dataset, step: int) -> int:
    """Return which record a step is."""
    steps = data["step"].values
    (places,) = np.nonzero(steps == as_count(step, "step"))
    if not places.size:
        near = steps[np.argmin(np.abs(steps - step))]
        raise ValueError(f"step: expected a recorded step, such as {near}, got {step}")
    return int(places[0])
