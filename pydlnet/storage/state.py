"""What a run goes on from, as arrays and attributes: the same in files and in stores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import freeze, widths_of
from ..compression import Compression
from ..flows import GradientFlow
from ..methods import Method
from ..trajectory import State

__all__ = ["state_dataset", "state_from_dataset"]

# Numbers of a flow besides its layers, as `_core.flow_state` names them; the last ones are counts.
FLOW_NUMBERS = ("begin_time", "step_size", "last_error", "first_time")
FLOW_COUNTS = ("n_accepted", "n_rejected", "n_gradients")

Layers = list[NDArray[Any]]


def state_dataset(
    weights: Layers, state: State, method: Method | GradientFlow, status: str
) -> xr.Dataset:
    """Return everything that a trajectory is besides its records.

    Parameters
    ----------
    weights : list of ndarray, shape (d_j, d_{j-1})
        The full layers.
    state : State
        Of the core.
    method : Method or GradientFlow
        Whose state it is.
    status : str
        Of the trajectory.

    Returns
    -------
    xarray.Dataset
        For `state_from_dataset`.
    """
    arrays: dict[str, Any] = _numbered("weights", weights, "width")
    for b, layers in enumerate(state.method["buffers"]):
        arrays.update(_numbered(f"buffer_{b}", layers, "core_width"))
    arrays.update(_compressed(state))
    is_flow = isinstance(method, GradientFlow)
    names = FLOW_NUMBERS if is_flow else ("mean_square",)
    numbers = [*state.time, *(state.method[name] for name in names)]
    arrays["numbers"] = (("number",), np.array(numbers, dtype=np.float64))
    counts = {
        "depth": len(weights),
        "finite": int(_are_finite(weights)),
        "n_buffers": len(state.method["buffers"]),
        # As text: a seed takes all 64 bits, which not every format's attributes hold.
        "step": str(state.step),
        "seed": "none" if state.seed is None else str(state.seed),
        # As text as well: all of their digits.
        **{name: str(state.method[name]) for name in _counts(is_flow)},
        "compression": _kind(state.compression),
        "diagonal": int(state.compression is not None and state.compression.diagonal),
    }
    return xr.Dataset(arrays, attrs={**counts, "status": status})


def state_from_dataset(
    state: xr.Dataset, method: Method | GradientFlow
) -> tuple[Layers, State, str]:
    """Return the full layers, the core's state and the status that `state_dataset` was given.

    Parameters
    ----------
    state : xarray.Dataset
        As it was returned.
    method : Method or GradientFlow
        Whose state it is.

    Raises
    ------
    ValueError
        If the layers are not what was saved.
    """
    attributes: Mapping[str, Any] = state.attrs
    is_flow = isinstance(method, GradientFlow)
    total, lost, *others = (float(x) for x in state["numbers"].values)
    method_state = {
        "buffers": [_layers(state, f"buffer_{b}") for b in range(int(attributes["n_buffers"]))],
        **dict(zip(FLOW_NUMBERS if is_flow else ("mean_square",), others, strict=True)),
        **{name: int(attributes[name]) for name in _counts(is_flow)},
    }
    seed = None if attributes["seed"] == "none" else int(attributes["seed"])
    weights = _layers(state, "weights")
    if _are_finite(weights) != bool(attributes["finite"]):
        raise ValueError("the layers are not those that were saved")
    compression = _compression(state, widths_of(weights))
    core = State(
        int(attributes["step"]),
        (total, lost),
        seed,
        method_state,
        compression,
        [] if compression is None else _layers(state, "layers"),
    )
    if compression is not None:
        weights = [freeze(layer) for layer in weights]
    return weights, core, str(attributes["status"])


def _are_finite(layers: Layers) -> bool:
    return all(bool(np.isfinite(layer).all()) for layer in layers)


def _counts(is_flow: bool) -> tuple[str, ...]:
    return FLOW_COUNTS if is_flow else ("n_updates",)


def _numbered(prefix: str, layers: Layers, dim: str) -> dict[str, Any]:
    return {
        f"{prefix}_{j}": ((f"{dim}_{j + 1}", f"{dim}_{j}"), layer) for j, layer in enumerate(layers)
    }


def _compressed(state: State) -> dict[str, Any]:
    if state.compression is None:
        return {}
    bases = {
        f"basis_{j}": ((f"width_{j}", f"core_width_{j}"), basis)
        for j, basis in enumerate(state.compression.bases)
        if basis is not None
    }
    return {**bases, **_numbered("layers", state.layers, "core_width")}


def _kind(compression: Compression | None) -> str:
    if compression is None:
        return "none"
    return "rank" if compression.by_rank else "count"


def _layers(state: xr.Dataset, prefix: str) -> Layers:
    return [
        np.ascontiguousarray(state[f"{prefix}_{j}"].values)
        for j in range(int(state.attrs["depth"]))
    ]


def _compression(state: xr.Dataset, widths: tuple[int, ...]) -> Compression | None:
    kind = state.attrs["compression"]
    if kind == "none":
        return None
    bases = tuple(
        np.ascontiguousarray(state[f"basis_{j}"].values) if f"basis_{j}" in state else None
        for j in range(len(widths))
    )
    # Files from before there were diagonal bases do not say so.
    return Compression(widths, bases, kind == "rank", bool(state.attrs.get("diagonal", 0)))
