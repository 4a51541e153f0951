"""Methods with a rate for every entry of the layers."""

from dataclasses import dataclass
from typing import ClassVar

from .._validation import as_real
from ..learning_rates import LearningRate
from .base import Method


@dataclass(frozen=True, eq=False, repr=False)
class RMSprop(Method):
    """RMSprop, torch.optim.RMSprop.

    Parameters
    ----------
    learning_rate : float, array_like or callable, default 0.01
        Rate of each step before adaptation, finite and at least 0.
    decay : float, default 0.99
        Decay of the average of squares (PyTorch's alpha), in [0, 1).
    epsilon : float, default 1e-8
        Added to the root, at least 0.
    momentum : float, default 0
        Share of the last step's direction that is kept, in [0, 1).
    centered : bool, default False
        Whether to subtract the squared average of the gradient from the average of squares.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, Lecture 6.5 of "Neural networks for machine learning",
       2012.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method, stop = dln.RMSprop(0.001, momentum=0.5), dln.Stop(loss=1e-4)
    >>> dln.run(problem, start, method, n_steps=5000, stop=stop).status
    'converged'
    """

    learning_rate: LearningRate = 0.01
    decay: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "rmsprop"
    _unit: ClassVar[tuple[str, ...]] = ("decay", "momentum")
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "weight_decay")
    _flags: ClassVar[tuple[str, ...]] = ("centered",)


@dataclass(frozen=True, eq=False, repr=False)
class Adam(Method):
    """Adam, torch.optim.Adam.

    Parameters
    ----------
    learning_rate : float, array_like or callable, default 0.001
        Rate of each step before adaptation, finite and at least 0.
    betas : tuple of float, default (0.9, 0.999)
        Decays of the averages of the gradient and of its square, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root, at least 0.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    References
    ----------
    .. [1] D. Kingma and J. Ba, ICLR 2015. arXiv:1412.6980

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method, stop = dln.Adam(0.01), dln.Stop(loss=1e-6)
    >>> dln.run(problem, start, method, n_steps=5000, stop=stop).status
    'converged'
    """

    learning_rate: LearningRate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "adam"
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "weight_decay")

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        super().__post_init__()
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas: expected a pair of numbers, got {self.betas!r}")
        betas = [
            as_real(beta, f"betas[{i}]", minimum=0.0, below=1.0)
            for i, beta in enumerate(self.betas)
        ]
        self._put("betas", tuple(betas))


@dataclass(frozen=True, eq=False, repr=False)
class AdaGrad(Method):
    """AdaGrad, torch.optim.Adagrad without its own decay of the rate.

    Parameters
    ----------
    learning_rate : float, array_like or callable, default 0.01
        Rate of each step before adaptation, finite and at least 0.
    epsilon : float, default 1e-10
        Added to the root, at least 0.
    initial_accumulator : float, default 0
        What the sums of squares start from, at least 0.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method, stop = dln.AdaGrad(0.1), dln.Stop(loss=1e-6)
    >>> dln.run(problem, start, method, n_steps=5000, stop=stop).status
    'converged'
    """

    learning_rate: LearningRate = 0.01
    epsilon: float = 1e-10
    initial_accumulator: float = 0.0
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "adagrad"
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "initial_accumulator", "weight_decay")


@dataclass(frozen=True, eq=False, repr=False)
class AdaDelta(Method):
    """AdaDelta, torch.optim.Adadelta.

    Parameters
    ----------
    learning_rate : float, array_like or callable, default 1
        Factor of each step, finite and at least 0.
    decay : float, default 0.9
        Decay of the averages of squares (PyTorch's rho), in [0, 1).
    epsilon : float, default 1e-6
        Added inside the roots, at least 0.
    weight_decay : float, default 0
        Coefficient of W_j in the gradient, at least 0.
    batch_size : int, optional
        Samples a step; all of them if not given.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    References
    ----------
    .. [1] M. Zeiler, 2012. arXiv:1212.5701

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method, stop = dln.AdaDelta(), dln.Stop(loss=1e-3)
    >>> dln.run(problem, start, method, n_steps=20000, stop=stop).status
    'converged'
    """

    learning_rate: LearningRate = 1.0
    decay: float = 0.9
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "adadelta"
    _unit: ClassVar[tuple[str, ...]] = ("decay",)
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "weight_decay")
