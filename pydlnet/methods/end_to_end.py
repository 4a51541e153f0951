"""The end-to-end rule as a method."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .._validation import as_count
from ..learning_rates import LearningRate
from .base import Method


@dataclass(frozen=True, eq=False, repr=False)
class EndToEndDescent(Method):
    """The end-to-end rule: what depth makes of gradient descent, on the one matrix W.

    The weights of a run are `[W]`, the product of the layers that are not there.

    Parameters
    ----------
    learning_rate : float, array_like or callable
        Rate of each step, finite and at least 0.
    depth : int
        N, the number of layers that W stands for, at least 1.
    weight_decay : float, default 0
        Coefficient lambda of each layer in its gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above. A run raises ValueError if its weights are not one matrix, or
        if it is to record a quantity of the layers (imbalance, layer_norms, layer_singular_values,
        sharpness, hessian_min, weights: `end_to_end` has W).

    Notes
    -----
    With G = grad l(W), Theorem 1 of [1]_ has

        W <- (1 - rate lambda N) W - rate sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N),

    where a power of 0 is the identity. Gradient flow of N balanced layers moves their product by
    this; a step of gradient descent differs from it by a multiple of rate^2. `gradient_norm` is
    that of G.

    At depth 1 it is gradient descent. Beyond, W = 0 stays where it is, and singular values of W up
    to max(d_0, d_N) times 2.2e-16 of the largest count as zero, as in
    `theory.end_to_end_velocity`. Each step takes the singular value decomposition of W in
    double precision, also in float32 runs, which is most of its time.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> product = [dln.chain.product(start)]
    >>> layers = dln.run(problem, start, dln.GradientDescent(0.01), n_steps=500)
    >>> rule = dln.run(problem, product, dln.EndToEndDescent(0.01, depth=2), n_steps=500)
    >>> bool(np.abs(dln.chain.product(layers.weights) - rule.weights[0]).max() < 0.01)
    True
    """

    learning_rate: LearningRate
    depth: int
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "end_to_end"
    _commutes_with_rotations: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        super().__post_init__()
        self._put("depth", as_count(self.depth, "depth", 1))

    @property
    def has_time(self) -> bool:
        """Whether the sum of the rates is a time: it is."""
        return True

    def core_spec(self) -> tuple[str, dict[str, float]]:
        """Return the kind and the numbers that the core takes: at depth 1 gradient descent."""
        kind, numbers = super().core_spec()
        return ("gradient_descent" if self.depth == 1 else kind), numbers

    def check_network(self, widths: Sequence[int], names: Collection[str]) -> None:
        """Raise unless there is one matrix and nothing is asked of layers.

        Parameters
        ----------
        widths : sequence of int
            (d_0, ..., d_N).
        names : collection of str
            The quantities to record.

        Raises
        ------
        ValueError
            If there are more layers, or one of the quantities is about layers.
        """
        if len(widths) != 2:
            raise ValueError(
                f"weights: expected one matrix, [W], for EndToEndDescent, got {len(widths) - 1} "
                "layers; pass [chain.product(weights)]"
            )
        for name in _OF_LAYERS:
            if name in names:
                raise ValueError(
                    f"record: expected quantities of the end-to-end matrix under EndToEndDescent, "
                    f"which has no layers, got {name!r}"
                )


_OF_LAYERS = (
    "imbalance",
    "layer_norms",
    "layer_singular_values",
    "weights",
    "sharpness",
    "hessian_min",
)
