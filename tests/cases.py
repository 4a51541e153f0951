"""Tables of methods and problems that several test modules go through."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import reference

import pydlnet as dln

# All that the core records, in the order of datasets.
QUANTITIES = [
    "loss",
    "reconstruction_error",
    "held_out_error",
    "gradient_norm",
    "learning_rate",
    "singular_values",
    "singular_vectors",
    "effective_rank",
    "stable_rank",
    "nuclear_norm",
    "imbalance",
    "layer_norms",
    "layer_singular_values",
    "end_to_end",
    "weights",
    "alignment",
]


@dataclass(frozen=True)
class MethodCase:
    """A method in three forms: the package's, the reference's and PyTorch's."""

    name: str
    method: Any
    update: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    torch_class: str | None = None
    torch_parameters: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0

    @property
    def rate(self):
        """Return the constant learning rate."""
        return self.method.learning_rate


METHODS = [
    MethodCase(
        "descent", dln.GradientDescent(0.05), reference.gradient_descent, {}, "SGD", {"lr": 0.05}
    ),
    MethodCase(
        "descent-decay",
        dln.GradientDescent(0.05, weight_decay=0.1),
        reference.gradient_descent,
        {},
        "SGD",
        {"lr": 0.05, "weight_decay": 0.1},
        weight_decay=0.1,
    ),
    MethodCase(
        "momentum",
        dln.Momentum(0.02, 0.9),
        reference.momentum,
        {"momentum": 0.9},
        "SGD",
        {"lr": 0.02, "momentum": 0.9},
    ),
    MethodCase(
        "nesterov-decay",
        dln.Momentum(0.02, 0.8, nesterov=True, weight_decay=0.1),
        reference.momentum,
        {"momentum": 0.8, "nesterov": True},
        "SGD",
        {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        weight_decay=0.1,
    ),
    MethodCase("group-rmsprop", dln.GroupRMSprop(0.01), reference.group_rmsprop),
    MethodCase(
        "group-rmsprop-decay",
        dln.GroupRMSprop(0.02, decay=0.9, epsilon=1e-2, weight_decay=0.1),
        reference.group_rmsprop,
        {"decay": 0.9, "epsilon": 1e-2},
        weight_decay=0.1,
    ),
    MethodCase("rmsprop", dln.RMSprop(), reference.rmsprop, {}, "RMSprop", {}),
    MethodCase(
        "rmsprop-all",
        dln.RMSprop(0.005, 0.9, 1e-3, momentum=0.7, centered=True, weight_decay=0.1),
        reference.rmsprop,
        {"decay": 0.9, "epsilon": 1e-3, "momentum": 0.7, "centered": True},
        "RMSprop",
        {
            "lr": 0.005,
            "alpha": 0.9,
            "eps": 1e-3,
            "momentum": 0.7,
            "centered": True,
            "weight_decay": 0.1,
        },
        weight_decay=0.1,
    ),
    MethodCase("adam", dln.Adam(), reference.adam, {}, "Adam", {}),
    MethodCase(
        "adam-all",
        dln.Adam(0.02, betas=(0.8, 0.95), epsilon=1e-3, weight_decay=0.1),
        reference.adam,
        {"betas": (0.8, 0.95), "epsilon": 1e-3},
        "Adam",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        weight_decay=0.1,
    ),
    MethodCase("adagrad", dln.AdaGrad(), reference.adagrad, {}, "Adagrad", {}),
    MethodCase(
        "adagrad-all",
        dln.AdaGrad(0.05, epsilon=1e-3, initial_accumulator=0.2, weight_decay=0.1),
        reference.adagrad,
        {"epsilon": 1e-3, "initial_accumulator": 0.2},
        "Adagrad",
        {"lr": 0.05, "eps": 1e-3, "initial_accumulator_value": 0.2, "weight_decay": 0.1},
        weight_decay=0.1,
    ),
    MethodCase("adadelta", dln.AdaDelta(), reference.adadelta, {}, "Adadelta", {}),
    MethodCase(
        "adadelta-all",
        dln.AdaDelta(0.5, decay=0.8, epsilon=1e-4, weight_decay=0.1),
        reference.adadelta,
        {"decay": 0.8, "epsilon": 1e-4},
        "Adadelta",
        {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1},
        weight_decay=0.1,
    ),
]


@dataclass(frozen=True)
class ProblemCase:
    """A problem and its loss as the definition reads."""

    name: str
    problem: Any
    loss: Any


def problem_case(kind, shape, seed=0, reduction="mean"):
    """Return a random problem of one kind for end-to-end matrices of the given shape."""
    rng = np.random.default_rng(seed)
    n_outputs, n_inputs = shape
    return PROBLEM_KINDS[kind](rng, n_outputs, n_inputs, reduction)


def _target(rng, n_outputs, n_inputs, reduction):
    target = rng.standard_normal((n_outputs, n_inputs))
    problem = dln.TargetMatrix(target)
    return ProblemCase("target", problem, lambda w: reference.target_loss(w, target))


def _regression(power, n_samples):
    def build(rng, n_outputs, n_inputs, reduction):
        inputs = rng.standard_normal((n_samples, n_inputs))
        outputs = rng.standard_normal((n_samples, n_outputs))
        problem = dln.Regression(inputs, outputs, power=power, reduction=reduction)
        return ProblemCase(
            f"regression-{power}",
            problem,
            lambda w: reference.regression_loss(w, inputs, outputs, power, reduction),
        )

    return build


def _classification(rng, n_outputs, n_inputs, reduction):
    inputs = rng.standard_normal((40, n_inputs))
    n_classes = max(2, n_outputs)
    labels = np.append(np.arange(n_classes), rng.integers(n_classes, size=40 - n_classes))
    problem = dln.Classification(inputs, labels, reduction=reduction)
    return ProblemCase(
        "classification",
        problem,
        lambda w: reference.classification_loss(w, inputs, labels, reduction),
    )


def _completion(rng, n_outputs, n_inputs, reduction):
    size = n_outputs * n_inputs
    chosen = rng.choice(size, size=max(1, size // 2), replace=False)
    rows, columns = np.unravel_index(chosen, (n_outputs, n_inputs))
    values = rng.standard_normal(len(chosen))
    problem = dln.MatrixCompletion(
        (n_outputs, n_inputs), rows, columns, values, reduction=reduction
    )
    return ProblemCase(
        "completion",
        problem,
        lambda w: reference.completion_loss(w, rows, columns, values, reduction),
    )


def _sensing(rng, n_outputs, n_inputs, reduction):
    measurements = rng.standard_normal((9, n_outputs, n_inputs))
    values = rng.standard_normal(9)
    problem = dln.MatrixSensing(measurements, values, reduction=reduction)
    return ProblemCase(
        "sensing", problem, lambda w: reference.sensing_loss(w, measurements, values, reduction)
    )


def _user(rng, n_outputs, n_inputs, reduction):
    target = rng.standard_normal((n_outputs, n_inputs))

    def loss(end_to_end):
        with np.errstate(all="ignore"):  # a diverging run may come here
            roots = np.hypot(1.0, end_to_end - target)
            return float(np.sum(roots - 1)), (end_to_end - target) / roots

    return ProblemCase("user", dln.EndToEndLoss(loss, (n_outputs, n_inputs)), loss)


def curved_user_problem(target):
    """Return the sum of sqrt(1 + (W - target)^2) - 1 with its second derivative."""

    def value(end_to_end):
        roots = np.hypot(1.0, end_to_end - target)
        return float(np.sum(roots - 1)), (end_to_end - target) / roots

    def second(end_to_end, direction):
        return direction / np.hypot(1.0, end_to_end - target) ** 3

    return dln.EndToEndLoss(value, target.shape, second)


# Whose losses have a second derivative, and know it.
CURVED_KINDS = (
    "target",
    "regression-2",
    "regression-2-few",
    "regression-4",
    "classification",
    "completion",
    "sensing",
    "user",
)


def curved_problem(kind, widths, reduction="mean"):
    """Return a random problem of one of CURVED_KINDS for networks of these widths."""
    shape = widths[-1], widths[0]
    if kind == "user":
        return curved_user_problem(np.random.default_rng(3).standard_normal(shape))
    return problem_case(kind, shape, 2, reduction).problem


PROBLEM_KINDS = {
    "target": _target,
    "regression-2": _regression(2, 30),
    "regression-2-few": _regression(2, 3),  # fewer samples than inputs: nothing to reduce
    "regression-4": _regression(4, 30),
    "regression-1.5": _regression(1.5, 30),
    "classification": _classification,
    "completion": _completion,
    "sensing": _sensing,
    "user": _user,
}
