"""Methods: how a step follows from the gradients.

Each is a frozen dataclass. `learning_rate` is a number, an array whose entry t is the rate of
the update from step t to step t + 1, or a function of the step t. The formulas are those of
PyTorch 2.13 where it has the method; weight decay adds lambda W_j to the gradient of layer j.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ._validation import FloatArray, as_count, as_real, hint
from .flows import GradientFlow
from .learning_rates import LearningRate, UnsavedFunction, as_learning_rate, call_rates
from .settings import Settings, fields_of

__all__ = [
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "EndToEndDescent",
    "GradientDescent",
    "GroupRMSprop",
    "Method",
    "Momentum",
    "RMSprop",
    "UnsavedFunction",
    "method_from_dict",
]


class Method(Settings):
    """What all methods that take steps share. Use one of the classes derived from this one.

    Attributes
    ----------
    learning_rate : float, ndarray or callable
        Rate of each step, at least 0.
    weight_decay : float
        Coefficient of the layers in their gradients, at least 0.
    batch_size : int or None
        Samples a step; None for the full data.
    """

    learning_rate: LearningRate
    weight_decay: float
    batch_size: int | None

    _kind: ClassVar[str]
    _commutes_with_rotations: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        self._put("learning_rate", as_learning_rate(self.learning_rate))
        super().__post_init__()
        if self.batch_size is not None:
            self._put("batch_size", as_count(self.batch_size, "batch_size", 1))

    @property
    def has_time(self) -> bool:
        """Whether the sum of the rates is a time that records can carry."""
        return False

    @property
    def commutes_with_rotations(self) -> bool:
        """Whether orthogonal changes of hidden bases rotate the steps and nothing else."""
        return self._commutes_with_rotations

    def core_spec(self) -> tuple[str, dict[str, float]]:
        """Return the kind and the numbers that the core takes.

        Returns
        -------
        kind : str
            Such as "gradient_descent".
        numbers : dict of str to float
            All fields except `learning_rate` and `batch_size`; flags are 0 or 1.
        """
        numbers = {}
        for name in fields_of(self):
            value = getattr(self, name)
            if name == "betas":
                numbers["beta1"], numbers["beta2"] = value
            elif name not in ("learning_rate", "batch_size"):
                numbers[name] = float(value)
        return self._kind, numbers

    def check_steps(self, n_total: int) -> None:
        """Raise unless there is a rate for each of the steps 0, ..., n_total - 1.

        Parameters
        ----------
        n_total : int
            Step at which the run ends, counted from step 0.

        Raises
        ------
        ValueError
            If `learning_rate` is an array with fewer entries, or a function not saved.
        """
        if isinstance(self.learning_rate, UnsavedFunction):
            self.learning_rate(n_total)
        if isinstance(self.learning_rate, np.ndarray) and self.learning_rate.size < n_total:
            raise ValueError(
                f"learning_rate: expected at least {n_total} entries, one for each step from "
                f"step 0, got {self.learning_rate.size}"
            )

    def check_network(self, widths: Sequence[int], names: Collection[str]) -> None:
        """Raise unless the method moves such a network and these quantities exist under it.

        Parameters
        ----------
        widths : sequence of int
            (d_0, ..., d_N).
        names : collection of str
            The quantities to record.

        Raises
        ------
        ValueError
            If `weights` or `record` does not suit the method.
        """

    def rates(self, first: int, count: int) -> FloatArray:
        """Return the rates of the updates that leave the steps first, ..., first + count - 1.

        Parameters
        ----------
        first : int
            First step.
        count : int
            Number of steps.

        Returns
        -------
        ndarray of float64, shape (count,)
            Shorter if a function fails at a step after the first one: the steps before it can
            still be taken, and asking for that step raises.

        Raises
        ------
        ValueError
            If an array is too short, or a function returns anything but a finite number at
            least 0. What a function raises itself comes through, with a note naming the step.
        """
        rate = self.learning_rate
        if isinstance(rate, np.ndarray):
            self.check_steps(first + count)
            return np.array(rate[first : first + count])
        if callable(rate):
            return call_rates(rate, first, count)
        return np.full(count, rate, dtype=np.float64)


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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
    """

    learning_rate: LearningRate = 0.01
    epsilon: float = 1e-10
    initial_accumulator: float = 0.0
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "adagrad"
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "initial_accumulator", "weight_decay")


@dataclass(frozen=True, eq=False)
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
    """

    learning_rate: LearningRate = 1.0
    decay: float = 0.9
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    batch_size: int | None = None

    _kind: ClassVar[str] = "adadelta"
    _unit: ClassVar[tuple[str, ...]] = ("decay",)
    _not_negative: ClassVar[tuple[str, ...]] = ("epsilon", "weight_decay")


@dataclass(frozen=True, eq=False)
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

_METHODS = (
    GradientDescent,
    Momentum,
    GroupRMSprop,
    RMSprop,
    Adam,
    AdaGrad,
    AdaDelta,
    EndToEndDescent,
)
_KINDS: dict[str, type[Method | GradientFlow]] = {
    kind.__name__: kind for kind in (*_METHODS, GradientFlow)
}


def method_from_dict(description: Mapping[str, Any]) -> Method | GradientFlow:
    """Return the method or flow that its `to_dict` described.

    Parameters
    ----------
    description : mapping
        `kind` and the fields of that method.

    Returns
    -------
    Method or GradientFlow
        A learning rate that was a function is an `UnsavedFunction` of its name.

    Raises
    ------
    ValueError, TypeError
        If the kind or a field is unknown, or a field has no valid value.
    """
    fields = dict(description)
    kind = _known(fields.pop("kind", None), _KINDS, "a kind")
    for name in fields:
        _known(name, fields_of(_KINDS[kind]), f"a field of {kind}")
    rate = fields.get("learning_rate")
    if isinstance(rate, Mapping):
        fields["learning_rate"] = UnsavedFunction(str(rate["function"]))
    return _KINDS[kind](**fields)


def _known(name: Any, known: Any, what: str) -> str:
    if name not in known:
        raise ValueError(
            f"method: expected {what}, one of {list(known)}, got {name!r}{hint(name, known)}"
        )
    return str(name)
