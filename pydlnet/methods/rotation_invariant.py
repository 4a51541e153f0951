"""Methods that treat all directions alike: descent, momentum, and one adaptive rate for all."""

from dataclasses import dataclass
from typing import ClassVar

from ..learning_rates import LearningRate
from .base import Method


@dataclass(frozen=True, eq=False, repr=False)
class GradientDescent(Method):
    """Gradient descent, W_j <- W_j - rate (dl/dW_j + weight_decay W_j).

    Parameters
    ----------
    learning_rate : float, array_like or callable
        Rate of each step, finite and at least 0.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> dln.run(problem, start, dln.GradientDescent(0.1), n_steps=1000).status
    'finished'
    >>> halving = dln.GradientDescent(lambda step: 0.1 / 2 ** (step // 100))
    >>> halving.rates(99, 2)
    array([0.1 , 0.05])
    """

    learning_rate: LearningRate
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "gradient_descent"
    _commutes_with_rotations: ClassVar[bool] = True

    @property
    def has_time(self) -> bool:
        """Whether the sum of the rates is a time: it is."""
        return True


@dataclass(frozen=True, eq=False, repr=False)
class Momentum(Method):
    """Gradient descent with momentum, torch.optim.SGD without dampening.

    Parameters
    ----------
    learning_rate : float, array_like or callable
        Rate of each step, finite and at least 0.
    momentum : float
        Share of the last step's direction that is kept, in [0, 1).
    nesterov : bool, default False
        Whether to look ahead along the momentum.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    Notes
    -----
    b <- momentum b + g, with b = g at the first step; W_j <- W_j - rate b, or with
    `nesterov` W_j <- W_j - rate (g + momentum b) [1]_.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl and G. Hinton, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method = dln.Momentum(0.02, momentum=0.9)
    >>> dln.run(problem, start, method, n_steps=1000, stop=dln.Stop(loss=1e-9)).status
    'converged'
    """

    learning_rate: LearningRate
    momentum: float
    nesterov: bool = False
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "momentum"
    _commutes_with_rotations: ClassVar[bool] = True
    _unit: ClassVar[tuple[str, ...]] = ("momentum",)
    _flags: ClassVar[tuple[str, ...]] = ("nesterov",)


@dataclass(frozen=True, eq=False, repr=False)
class GroupRMSprop(Method):
    """Gradient descent with one adaptive rate for all layers.

    Parameters
    ----------
    learning_rate : float, array_like or callable
        Rate of each step before adaptation, finite and at least 0.
    decay : float, default 0.99
        Decay of the average of squares, in [0, 1).
    epsilon : float, default 1e-6
        Added to the root, above 0: the rate would be infinite where the gradient vanishes.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    Notes
    -----
    v <- decay v + (1 - decay) sum_j ||g_j||_F^2, and the rate of step t = 1, 2, ... is divided
    by sqrt(v / (1 - decay^t)) + epsilon. It follows the path of gradient descent in another
    time; the released code of [1]_ uses it with epsilon = 1e-4.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method = dln.GroupRMSprop(0.01, epsilon=1e-4)
    >>> dln.run(problem, start, method, n_steps=5000, stop=dln.Stop(loss=1e-3)).status
    'converged'
    """

    learning_rate: LearningRate
    decay: float = 0.99
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "group_rmsprop"
    _commutes_with_rotations: ClassVar[bool] = True
    _unit: ClassVar[tuple[str, ...]] = ("decay",)
    _positive: ClassVar[tuple[str, ...]] = ("epsilon",)

    @property
    def has_time(self) -> bool:
        """Whether the sum of the rates is a time: it is."""
        return True
