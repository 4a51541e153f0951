"""Methods: how a step follows from the gradients.

Each is a frozen dataclass. `learning_rate` is a number, an array whose entry t is the rate of
the update from step t to step t + 1, or a function of the step t. The formulas are those of
PyTorch 2.13 where it has the method; weight decay adds lambda W_j to the gradient of layer j.
"""

from collections.abc import Mapping
from typing import Any

from .._validation import hint
from ..flows import GradientFlow
from ..learning_rates import UnsavedFunction
from ..settings import fields_of
from .base import Method
from .end_to_end import EndToEndDescent
from .entrywise import AdaDelta, AdaGrad, Adam, RMSprop
from .rotation_invariant import GradientDescent, GroupRMSprop, Momentum

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

    Examples
    --------
    >>> import pydlnet as dln
    >>> description = dln.Momentum(0.1, momentum=0.9).to_dict()
    >>> description["kind"]
    'Momentum'
    >>> dln.methods.method_from_dict(description)
    Momentum(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0, batch_size=None)
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
