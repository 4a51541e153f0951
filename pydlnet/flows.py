"""Gradient flow: what gradient descent becomes as its learning rate goes to zero."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .settings import Settings

__all__ = ["GradientFlow"]

# Below this the error of a step is lost in the rounding of its stages.
_LEAST_RTOL = 100.0 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow(Settings):
    """Gradient flow, dW_j/dt = -(dl/dW_j + weight_decay W_j), in float64.

    Runs until a time instead of for a number of steps: ``run(problem, weights, GradientFlow(),
    until=100.0, record=Record("loss", times=[0.1, 1.0, 10.0]))``. In the dataset `step` is the
    number of the record and `time` its time.

    Parameters
    ----------
    rtol : float, default 1e-8
        Relative tolerance, at least 2.2e-14 and below 1.
    atol : float, default 1e-50
        Absolute tolerance, at least 0. The error e_j of a step in layer j keeps
        ||e_j||_F <= atol + rtol ||W_j||_F. Near a saddle the error grows like the layers: from a
        small start this has to be far below rtol ||W_j(0)||_F.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    Notes
    -----
    The embedded Runge-Kutta pair DOP853 of [1]_, of order 8. Step sizes follow the error; records
    and `until` fall between the ends of steps and do not change them: the layers there are found by
    a shorter step from where the step in progress begins, as exact as the others. Hence the same
    bits whatever is recorded, stopped and continued.

    Without weight decay the flow conserves W_{j+1}^T W_{j+1} - W_j W_j^T [2]_; with it they fall as
    exp(-2 weight_decay t). The attribute `imbalance_drift` of the data says how far the computed
    layers have come from that since the flow began, relative to ||W_j||_F^2 + ||W_{j+1}||_F^2.
    `n_accepted`, `n_rejected` and `n_gradients` count steps and the evaluations of the gradient
    that they took; a record takes twelve more.

    Close to a minimum the curvature limits the steps, to 6.4 / (largest eigenvalue of the Hessian).
    As a step takes twelve evaluations, the same time costs gradient descent as many of them at a
    quarter of its largest stable rate. The distance to the minimum stays around the tolerance, so
    a bound on the loss far below (rtol ||W||)^2 may never be met.

    References
    ----------
    .. [1] E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I, 2nd
       edition, Springer 1993, sections II.4 and II.5.
    .. [2] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record(["loss", "imbalance"], times=[1.0, 2.0, 3.0])
    >>> flow = dln.run(problem, start, dln.GradientFlow(), until=10.0, record=record)
    >>> flow.data.time.values
    array([ 0.,  1.,  2.,  3., 10.])
    >>> bool(flow.data.loss[-1] < 1e-6), bool(flow.data.imbalance.max() < 1e-9)
    (True, True)
    """

    rtol: float = 1e-8
    atol: float = 1e-50
    weight_decay: float = 0.0

    _not_negative: ClassVar[tuple[str, ...]] = ("atol", "weight_decay")
    _positive: ClassVar[tuple[str, ...]] = ("rtol",)

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        super().__post_init__()
        if not _LEAST_RTOL <= self.rtol < 1.0:
            raise ValueError(
                f"rtol: expected a number in [{_LEAST_RTOL:.2g}, 1), got {self.rtol:g}"
            )

    @property
    def commutes_with_rotations(self) -> bool:
        """Whether orthogonal changes of hidden bases rotate the flow and nothing else: they do."""
        return True
