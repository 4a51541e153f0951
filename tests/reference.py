"""Plain definitions: each quantity as its formula reads, with loops and `@`.

The oracle of the tests. Nothing here is fast, nothing imports pydlnet. Functions keep the dtype
they are given, so `numpy.longdouble` weights give an answer that is good to more digits than the
code under test.
"""

import itertools

import numpy as np

# ---------------------------------------------------------------------------------------------
# The chain
# ---------------------------------------------------------------------------------------------


def product(weights):
    """Return W_N ... W_1."""
    end_to_end = weights[0]
    for layer in weights[1:]:
        end_to_end = layer @ end_to_end
    return end_to_end


def gradients(weights, end_to_end_gradient):
    """Return (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T for every layer j."""
    result = []
    for j in range(len(weights)):
        gradient = end_to_end_gradient
        for layer in reversed(weights[j + 1 :]):
            gradient = layer.T @ gradient
        for layer in weights[:j]:
            gradient = gradient @ layer.T
        result.append(gradient)
    return result


def rounding_bounds(weights, gradient_size):
    """Bound what rounding does to the product and to the gradients, in units of epsilon.

    A product of factors with inner dimensions k_1, k_2, ... differs from the exact one by at most
    (k_1 + k_2 + ...) epsilon times the product of the absolute values (Higham 2002, section 3.5),
    whatever the order of the sums; `gradient_size` is the same kind of bound on |G|.
    """
    absolute = [np.abs(np.asarray(w, dtype=np.float64)) for w in weights]
    terms = 2 * (sum(w.shape[0] + w.shape[1] for w in weights) + len(weights))
    bounds = gradients(absolute, np.asarray(gradient_size, dtype=np.float64))
    return terms * product(absolute), [terms * b for b in bounds]


# ---------------------------------------------------------------------------------------------
# Losses: (value, gradient) of the end-to-end matrix
# ---------------------------------------------------------------------------------------------


def target_loss(end_to_end, target):
    """Return the value and gradient of 1/2 ||W - target||_F^2."""
    residual = end_to_end - target
    return 0.5 * np.sum(residual**2), residual


def regression_loss(end_to_end, inputs, outputs, power=2.0, reduction="mean"):
    """Return the value and gradient of sum |W x - y|^p / p over the samples, or of its mean."""
    scale = 1.0 / len(inputs) if reduction == "mean" else 1.0
    value, gradient = 0.0, np.zeros_like(end_to_end)
    for x, y in zip(inputs, outputs, strict=True):
        residual = end_to_end @ x - y
        value += np.sum(np.abs(residual) ** power) / power
        gradient += np.outer(np.sign(residual) * np.abs(residual) ** (power - 1), x)
    return scale * value, scale * gradient


def classification_loss(end_to_end, inputs, labels, reduction="mean"):
    """Return the value and gradient of the cross-entropy; labels are class indices.

    One output is the logit of class 1 against class 0.
    """
    scale = 1.0 / len(inputs) if reduction == "mean" else 1.0
    value, gradient = 0.0, np.zeros_like(end_to_end)
    for x, label in zip(inputs, labels, strict=True):
        logits = end_to_end @ x
        if len(logits) == 1:
            logits = np.array([0.0, logits[0]])
        exponentials = np.exp(logits - logits.max())
        value += np.log(exponentials.sum()) - (logits[label] - logits.max())
        residual = exponentials / exponentials.sum() - np.eye(len(logits))[label]
        gradient += np.outer(residual[-len(end_to_end) :], x)
    return scale * value, scale * gradient


def completion_loss(end_to_end, rows, columns, values, reduction="mean"):
    """Return the value and gradient of 1/2 (W_ij - v)^2, summed or averaged over the entries."""
    scale = 1.0 / len(values) if reduction == "mean" else 1.0
    value, gradient = 0.0, np.zeros_like(end_to_end)
    for i, j, v in zip(rows, columns, values, strict=True):
        value += 0.5 * (end_to_end[i, j] - v) ** 2
        gradient[i, j] += end_to_end[i, j] - v
    return scale * value, scale * gradient


def sensing_loss(end_to_end, measurements, values, reduction="mean"):
    """Return the value and gradient of 1/2 (<A_i, W> - y_i)^2, summed or averaged."""
    scale = 1.0 / len(values) if reduction == "mean" else 1.0
    value, gradient = 0.0, np.zeros_like(end_to_end)
    for a, y in zip(measurements, values, strict=True):
        residual = np.sum(a * end_to_end) - y
        value += 0.5 * residual**2
        gradient += residual * a
    return scale * value, scale * gradient


def central_differences(function, matrix, spacing=1e-5):
    """Return the gradient of a scalar function of a matrix, to O(spacing^2)."""
    gradient = np.zeros_like(matrix)
    for index in np.ndindex(matrix.shape):
        shift = np.zeros_like(matrix)
        shift[index] = spacing
        gradient[index] = (function(matrix + shift) - function(matrix - shift)) / (2 * spacing)
    return gradient


def whiten(inputs, outputs):
    """Return Phi, Lambda_xx^(-1/2) and the constant of paper B, section B.1 (uncentred)."""
    n_samples = len(inputs)
    _, singular, right = np.linalg.svd(inputs / np.sqrt(n_samples), full_matrices=False)
    transform = (right.T / singular) @ right
    target = outputs.T @ (inputs @ transform) / n_samples
    constant = 0.5 * np.sum(outputs**2) / n_samples - 0.5 * np.sum(target**2)
    return target, transform, constant


# ---------------------------------------------------------------------------------------------
# Methods: the published update, one function a method; `state` is a dict that starts empty
# ---------------------------------------------------------------------------------------------


def gradient_descent(weights, grads, rate, step, state):
    """W <- W - rate g."""
    return [w - rate * g for w, g in zip(weights, grads, strict=True)]


def momentum(weights, grads, rate, step, state, momentum, nesterov=False):
    """Follow torch.optim.SGD: b <- mu b + g, W <- W - rate b, or g + mu b (Nesterov)."""
    buffers = state.setdefault("buffer", [np.zeros_like(w) for w in weights])
    result = []
    for j, (w, g) in enumerate(zip(weights, grads, strict=True)):
        buffers[j] = momentum * buffers[j] + g
        result.append(w - rate * (g + momentum * buffers[j] if nesterov else buffers[j]))
    return result


def group_rmsprop(weights, grads, rate, step, state, decay=0.99, epsilon=1e-6):
    """Follow the code of Arora, Cohen, Hu & Luo (2019): one adaptive rate for all layers."""
    square = sum(float(np.sum(g.astype(np.float64) ** 2)) for g in grads)
    state["v"] = decay * state.get("v", 0.0) + (1 - decay) * square
    adapted = rate / (np.sqrt(state["v"] / (1 - decay ** (step + 1))) + epsilon)
    return [w - adapted * g for w, g in zip(weights, grads, strict=True)]


def rmsprop(
    weights, grads, rate, step, state, decay=0.99, epsilon=1e-8, momentum=0.0, centered=False
):
    """Follow torch.optim.RMSprop."""
    zeros = [np.zeros_like(w) for w in weights]
    square, mean, buffer = (state.setdefault(k, list(zeros)) for k in ("square", "mean", "buffer"))
    result = []
    for j, (w, g) in enumerate(zip(weights, grads, strict=True)):
        square[j] = decay * square[j] + (1 - decay) * g**2
        mean[j] = decay * mean[j] + (1 - decay) * g
        variance = square[j] - mean[j] ** 2 if centered else square[j]
        buffer[j] = momentum * buffer[j] + g / (np.sqrt(variance) + epsilon)
        result.append(w - rate * buffer[j])
    return result


def adam(weights, grads, rate, step, state, betas=(0.9, 0.999), epsilon=1e-8):
    """Follow Kingma & Ba (2015), as torch.optim.Adam."""
    zeros = [np.zeros_like(w) for w in weights]
    first, second = state.setdefault("first", list(zeros)), state.setdefault("second", list(zeros))
    result = []
    for j, (w, g) in enumerate(zip(weights, grads, strict=True)):
        first[j] = betas[0] * first[j] + (1 - betas[0]) * g
        second[j] = betas[1] * second[j] + (1 - betas[1]) * g**2
        mean = first[j] / (1 - betas[0] ** (step + 1))
        root = np.sqrt(second[j] / (1 - betas[1] ** (step + 1)))
        result.append(w - rate * mean / (root + epsilon))
    return result


def adagrad(weights, grads, rate, step, state, epsilon=1e-10, initial_accumulator=0.0):
    """Follow torch.optim.Adagrad without rate decay."""
    total = state.setdefault("sum", [np.full_like(w, initial_accumulator) for w in weights])
    result = []
    for j, (w, g) in enumerate(zip(weights, grads, strict=True)):
        total[j] = total[j] + g**2
        result.append(w - rate * g / (np.sqrt(total[j]) + epsilon))
    return result


def adadelta(weights, grads, rate, step, state, decay=0.9, epsilon=1e-6):
    """Follow torch.optim.Adadelta."""
    zeros = [np.zeros_like(w) for w in weights]
    square, moved = state.setdefault("square", list(zeros)), state.setdefault("moved", list(zeros))
    result = []
    for j, (w, g) in enumerate(zip(weights, grads, strict=True)):
        square[j] = decay * square[j] + (1 - decay) * g**2
        change = np.sqrt(moved[j] + epsilon) / np.sqrt(square[j] + epsilon) * g
        moved[j] = decay * moved[j] + (1 - decay) * change**2
        result.append(w - rate * change)
    return result


def descend(update, weights, loss, rates, weight_decay=0.0, **parameters):
    """Return the weights after 0, 1, ..., len(rates) steps; `loss` gives (value, gradient) of W."""
    state, path = {}, [list(weights)]
    for step, rate in enumerate(rates):
        weights = path[-1]
        _, gradient = loss(product(weights))
        grads = gradients(weights, gradient)
        decayed = [g + weight_decay * w for g, w in zip(grads, weights, strict=True)]
        path.append(update(weights, decayed, rate, step, state, **parameters))
    return path


# ---------------------------------------------------------------------------------------------
# Quantities
# ---------------------------------------------------------------------------------------------


def singular_values(matrix):
    """Return the singular values, descending."""
    return np.linalg.svd(np.asarray(matrix, dtype=np.float64), compute_uv=False)


def effective_rank(matrix):
    """Return exp of the entropy of sigma / sum(sigma) (Roy & Vetterli 2007); 0 for zero."""
    values = singular_values(matrix)
    if values.sum() == 0:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def stable_rank(matrix):
    """Return ||W||_F^2 / ||W||_2^2; 0 for the zero matrix."""
    values = singular_values(matrix)
    return 0.0 if values[0] == 0 else float(np.sum((values / values[0]) ** 2))


def nuclear_norm(matrix):
    """Return the sum of the singular values."""
    return float(singular_values(matrix).sum())


def imbalance_matrices(weights):
    """Return D_j = W_{j+1}^T W_{j+1} - W_j W_j^T for every hidden layer."""
    return [after.T @ after - w @ w.T for w, after in itertools.pairwise(weights)]


def imbalance(weights):
    """Return ||D_j||_F for every hidden layer."""
    return np.array([np.linalg.norm(d) for d in imbalance_matrices(weights)])


def layer_singular_values(weights):
    """Return the singular values of the layers, one row each, NaN beyond a layer's own."""
    rows = np.full((len(weights), max(min(w.shape) for w in weights)), np.nan)
    for j, w in enumerate(weights):
        rows[j, : min(w.shape)] = singular_values(w)
    return rows


def quantities(weights, loss, ground_truth=None, held_out=None):
    """Return every recorded quantity under its dataset name, except the singular vectors."""
    end_to_end = product(weights)
    value, gradient = loss(end_to_end)
    result = {
        "loss": value,
        "gradient_norm": np.sqrt(sum(np.sum(g**2) for g in gradients(weights, gradient))),
        "singular_value": singular_values(end_to_end),
        "effective_rank": effective_rank(end_to_end),
        "stable_rank": stable_rank(end_to_end),
        "nuclear_norm": nuclear_norm(end_to_end),
        "imbalance": imbalance(weights),
        "layer_norm": np.array([np.linalg.norm(w) for w in weights]),
        "layer_singular_value": layer_singular_values(weights),
        "end_to_end": end_to_end,
        "alignment": alignment(end_to_end, gradient),
    }
    if ground_truth is not None:
        result["reconstruction_error"] = np.mean((end_to_end - ground_truth) ** 2)
    if held_out is not None:
        rows, columns, values = held_out
        result["held_out_error"] = np.mean((end_to_end[rows, columns] - values) ** 2)
    return result


def alignment(end_to_end, gradient):
    """Return u_r^T grad v_r for every mode."""
    left, _, right = np.linalg.svd(end_to_end, full_matrices=False)
    return np.einsum("ir,ij,rj->r", left, gradient, right)


def log_spaced(n, until):
    """Return step 0 and the distinct integers among n geometric values from 1 to until."""
    return np.unique(np.append(0, np.round(np.geomspace(1, until, n)).astype(np.int64)))


# ---------------------------------------------------------------------------------------------
# Balanced starts
# ---------------------------------------------------------------------------------------------


def balanced_from(matrix, widths):
    """Follow Procedure 1 of Arora, Cohen, Golowich & Hu (2019) on a given matrix."""
    depth = len(widths) - 1
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    k = min(len(values), *widths)
    roots = np.diag(values[:k] ** (1 / depth))
    factors = [roots] * depth
    factors[0] = factors[0] @ right[:k]
    factors[-1] = left[:, :k] @ factors[-1] if depth > 1 else matrix
    layers = [np.zeros((d_out, d_in)) for d_in, d_out in itertools.pairwise(widths)]
    for layer, factor in zip(layers, factors, strict=True):
        layer[: factor.shape[0], : factor.shape[1]] = factor
    return layers


def end_to_end_step(matrix, gradient, rate, depth, weight_decay=0.0):
    """Apply the end-to-end update rule (Arora, Cohen & Hazan 2018, Theorem 1).

    The fractional powers come from the full SVD of W: of the Gram matrices they would lose all
    that lies below the square root of epsilon.
    """
    left, values, right = np.linalg.svd(matrix, full_matrices=True)
    total = np.zeros_like(matrix)
    for j in range(1, depth + 1):
        on_left = _power(left, values, (2 * (j - 1)) / depth)
        on_right = _power(right.T, values, (2 * (depth - j)) / depth)
        total += on_left @ gradient @ on_right
    return (1 - rate * weight_decay * depth) * matrix - rate * total


def powers_as_written(matrix, gradient, depth):
    """Return sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N) with 200 digits."""
    import mpmath  # which the benchmarks that use this module do without

    with mpmath.workdps(200):
        w, g = mpmath.matrix(matrix.tolist()), mpmath.matrix(gradient.tolist())

        def power(gram, exponent):
            if exponent == 0:
                return mpmath.eye(gram.rows)
            values, vectors = mpmath.eigsy(gram)
            # What 200 digits leave of a zero is around 1e-200.
            scaled = [v**exponent if v > 1e-150 else mpmath.mpf(0) for v in values]
            return vectors * mpmath.diag(scaled) * vectors.T

        total = mpmath.zeros(w.rows, w.cols)
        for j in range(1, depth + 1):
            on_left = power(w * w.T, mpmath.mpf(j - 1) / depth)
            total += on_left * g * power(w.T * w, mpmath.mpf(depth - j) / depth)
        return np.array(total.tolist(), dtype=float)


def _power(basis, values, exponent):
    if exponent == 0:
        return np.eye(len(basis))
    scale = np.zeros(len(basis))
    scale[: len(values)] = values**exponent
    return (basis * scale) @ basis.T
