"""The quantities that a run can record, and the variables of the dataset they become.

One table says for each quantity which variables it writes, over which dimensions, and what
they mean. Whatever reads or writes datasets takes names and dimensions from here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ON_FULL_LAYERS", "QUANTITIES", "Variable", "dim_sizes", "is_reserved", "variables"]

_ARORA_2019 = "Arora, Cohen, Hu & Luo 2019, arXiv:1905.13655"


@dataclass(frozen=True)
class Variable:
    """A variable of the dataset.

    Parameters
    ----------
    name : str
        Name in the dataset.
    dims : tuple of str
        Dimensions, `step` first.
    long_name : str
        What it is, in a few words: pictures are labelled with it.
    units : str
        "1" when dimensionless.
    reference : str
        Where the definition comes from.
    definition : str
        How it is defined, where that takes a formula or further words.
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    reference: str = "definition"
    definition: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of the variable in a dataset."""
        words = {"long_name": self.long_name, "units": self.units, "reference": self.reference}
        return words | ({"definition": self.definition} if self.definition else {})


def _variable(
    name: str, *dims: str, long_name: str, definition: str = "", reference: str = "definition"
) -> Variable:
    return Variable(name, ("step", *dims), long_name, reference=reference, definition=definition)


# In the order of the dataset. The variables of `weights` depend on the depth: see `variables`.
QUANTITIES: dict[str, tuple[Variable, ...]] = {
    "loss": (_variable("loss", long_name="loss", definition="l(W), without weight decay"),),
    "reconstruction_error": (
        _variable(
            "reconstruction_error",
            long_name="reconstruction error",
            definition="mean over all entries of (W - ground truth)^2",
            reference=_ARORA_2019,
        ),
    ),
    "held_out_error": (
        _variable(
            "held_out_error",
            long_name="held-out error",
            definition="mean square over the entries held out",
        ),
    ),
    "gradient_norm": (
        _variable(
            "gradient_norm",
            long_name="gradient norm in all layers",
            definition="(sum_j ||dl/dW_j||_F^2)^(1/2)",
        ),
    ),
    "learning_rate": (
        _variable(
            "learning_rate",
            long_name="learning rate",
            definition="that of the update that leaves this step",
        ),
    ),
    "singular_values": (
        _variable("singular_value", "mode", long_name="singular values of the end-to-end matrix W"),
    ),
    "singular_vectors": (
        _variable(
            "left_singular_vector",
            "output",
            "mode",
            long_name="left singular vectors of W",
            definition="the largest entry positive",
        ),
        _variable(
            "right_singular_vector", "input", "mode", long_name="right singular vectors of W"
        ),
    ),
    "effective_rank": (
        _variable(
            "effective_rank",
            long_name="effective rank of W",
            definition="exp of the entropy of its normalised singular values",
            reference="Roy & Vetterli 2007",
        ),
    ),
    "stable_rank": (
        _variable(
            "stable_rank",
            long_name="stable rank of W",
            definition="||W||_F^2 / ||W||_2^2",
            reference="Rudelson & Vershynin 2007, arXiv:math/0503442",
        ),
    ),
    "nuclear_norm": (
        _variable(
            "nuclear_norm",
            long_name="nuclear norm of W",
            definition="sum of its singular values",
        ),
    ),
    "imbalance": (
        _variable(
            "imbalance",
            "pair",
            long_name="imbalance of neighbouring layers",
            definition="||W_{j+1}^T W_{j+1} - W_j W_j^T||_F",
            reference="Arora, Cohen & Hazan 2018, arXiv:1802.06509; "
            "Du, Hu & Lee 2018, arXiv:1806.00900",
        ),
    ),
    "layer_norms": (
        _variable(
            "layer_norm",
            "layer",
            long_name="Frobenius norm of each layer",
            definition="||W_j||_F",
        ),
    ),
    "layer_singular_values": (
        _variable(
            "layer_singular_value",
            "layer",
            "layer_mode",
            long_name="singular values of each layer",
            definition="NaN beyond a layer's own",
        ),
    ),
    "end_to_end": (
        _variable(
            "end_to_end",
            "output",
            "input",
            long_name="end-to-end matrix W",
            definition="W = W_N ... W_1",
        ),
    ),
    "weights": (),
    "alignment": (
        _variable(
            "alignment",
            "mode",
            long_name="gradient along the singular modes of W",
            definition="u_r^T grad l(W) v_r",
            reference=_ARORA_2019,
        ),
    ),
    "sharpness": (
        _variable(
            "sharpness",
            long_name="sharpness",
            definition="largest eigenvalue of the Hessian of the loss in all layers, "
            "without weight decay",
            reference="Cohen, Kaur, Li, Kolter & Talwalkar 2021, arXiv:2103.00065",
        ),
    ),
    "hessian_min": (
        _variable(
            "hessian_min",
            long_name="smallest eigenvalue of the Hessian",
            definition="of that of the loss in all layers, without weight decay",
        ),
    ),
}

# What is evaluated on the full layers between slices of the core, as functions of the user's are.
ON_FULL_LAYERS = ("sharpness", "hessian_min")

_COORDINATES = ("step", "time", "mode", "output", "input", "pair", "layer", "layer_mode")
_OF_ENSEMBLES = ("run", "problem", "method", "seed")
_NAMES = frozenset(
    {variable.name for group in QUANTITIES.values() for variable in group}
    | set(QUANTITIES)
    # Planned variables: a callable of this name would clash with a later version's dataset.
    | {"status", "last_step"}
    | set(_COORDINATES)
    | set(_OF_ENSEMBLES)
)
_NUMBERED = re.compile(r"(W|hidden_)\d+")


def is_reserved(name: str) -> bool:
    """Say whether a name belongs to a variable, a coordinate or a dimension of the dataset.

    Parameters
    ----------
    name : str
        Name that a user wants to give to a quantity.

    Returns
    -------
    bool
        True if the name is taken.
    """
    return name in _NAMES or _NUMBERED.fullmatch(name) is not None


def variables(names: Iterable[str], widths: Sequence[int]) -> dict[str, Variable]:
    """Return the dataset variables of the named quantities.

    Parameters
    ----------
    names : iterable of str
        Keys of `QUANTITIES`.
    widths : sequence of int
        (d_0, ..., d_N); `weights` becomes the variables W1, ..., WN.

    Returns
    -------
    dict of str to Variable
        By name of the variable, in the order of `names`.
    """
    expanded = (
        variable
        for name in names
        for variable in (_layers(len(widths) - 1) if name == "weights" else QUANTITIES[name])
    )
    return {variable.name: variable for variable in expanded}


def _layers(depth: int) -> tuple[Variable, ...]:
    dims = ["input", *(f"hidden_{j}" for j in range(1, depth)), "output"]
    return tuple(
        _variable(f"W{j}", dims[j], dims[j - 1], long_name=f"layer {j} of {depth}")
        for j in range(1, depth + 1)
    )


def dim_sizes(widths: Sequence[int]) -> dict[str, int]:
    """Return the size of every dimension except `step`.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N).

    Returns
    -------
    dict of str to int
        Sizes of mode, output, input, pair, layer, layer_mode and hidden_1, ..., hidden_{N-1}.
        A network of depth 1 has no pairs: the size is 0.
    """
    depth = len(widths) - 1
    return {
        "mode": min(widths[0], widths[-1]),
        "output": widths[-1],
        "input": widths[0],
        "pair": depth - 1,
        "layer": depth,
        "layer_mode": max(map(min, widths[1:], widths[:-1])),
        **{f"hidden_{j}": widths[j] for j in range(1, depth)},
    }
