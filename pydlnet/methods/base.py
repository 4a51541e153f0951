"""What all methods that take steps share."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from .._validation import FloatArray, as_count
from ..learning_rates import LearningRate, UnsavedFunction, as_learning_rate, call_rates
from ..settings import Settings, fields_of


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

    Examples
    --------
    >>> import pydlnet as dln
    >>> method = dln.Adam(0.01)
    >>> isinstance(method, dln.methods.Method), method.learning_rate
    (True, 0.01)
    >>> method.rates(first=0, count=3)
    array([0.01, 0.01, 0.01])
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
