"""Curvature by PyTorch's automatic differentiation, which that of the core is compared with."""

import numpy as np
import torch
from cases import CURVED_KINDS

torch.set_num_threads(1)

EPSILON = np.finfo(np.float64).eps

# Whose loss torch_loss() writes.
KINDS = CURVED_KINDS[:-1]


def flat(layers):
    return np.concatenate([np.asarray(layer, np.float64).ravel() for layer in layers])


def torch_loss(problem, n_outputs):
    """Return the problem's loss of an end-to-end matrix, written with PyTorch."""

    def mean(total):
        return total / problem.n_samples if problem.reduction == "mean" else total

    kind = type(problem).__name__
    if kind == "TargetMatrix":
        return lambda w: 0.5 * ((w - torch.tensor(problem.target)) ** 2).sum()
    if kind == "Regression":
        x, y = torch.tensor(problem.inputs), torch.tensor(problem.outputs)
        return lambda w: mean(((x @ w.T - y).abs() ** problem.power).sum() / problem.power)
    if kind == "Classification":
        x, labels = torch.tensor(problem.inputs), torch.tensor(problem.labels)
        if n_outputs == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits
            return lambda w: mean(loss((x @ w.T)[:, 0], labels.double(), reduction="sum"))
        return lambda w: mean(torch.nn.functional.cross_entropy(x @ w.T, labels, reduction="sum"))
    values = torch.tensor(problem.values)
    if kind == "MatrixCompletion":
        places = torch.tensor(problem.rows), torch.tensor(problem.columns)
        return lambda w: mean(0.5 * ((w[places] - values) ** 2).sum())
    measurements = torch.tensor(problem.measurements)
    return lambda w: mean(0.5 * (((measurements * w).sum((1, 2)) - values) ** 2).sum())


def of_layers(loss):
    def phi(*layers):
        product = layers[0]
        for layer in layers[1:]:
            product = layer @ product
        return loss(product)

    return phi


def torch_hessian(weights, problem):
    phi = of_layers(torch_loss(problem, len(weights[-1])))
    blocks = torch.autograd.functional.hessian(phi, tuple(map(torch.tensor, weights)))
    rows = [
        np.hstack([block.numpy().reshape(w.size, -1) for block in row])
        for row, w in zip(blocks, weights, strict=True)
    ]
    return np.vstack(rows)


def tolerance_of(weights, matrix):
    """Bound rounding: sums of a few hundred numbers whose sizes multiply along the chain."""
    sizes = np.prod([max(1.0, np.linalg.norm(w, 2)) for w in weights])
    return 200 * EPSILON * sizes * max(1.0, float(np.abs(matrix).max()))
