"""The invariant subspaces of orthogonal starts: the small network inside a wide one.

From square layers epsilon_l Q_l with orthogonal Q_l and a target of low rank r, gradient descent
moves no more than 2 r directions of each layer in an interesting way. All others only shrink, by
one scalar for each layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .. import chain
from .._display import Shown
from .._validation import FloatArray, as_array, as_matrix, as_real, as_weights, freeze
from ._arguments import as_steps

__all__ = ["InvariantSubspace", "invariant_subspace"]

# How far W_l^T W_l may be from a multiple of the identity, relative to that multiple.
_ORTHOGONALITY_TOLERANCE = 1e-10

_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class InvariantSubspace(Shown):
    """A small network that is equivalent to a wide one, and the way back.

    Made by `invariant_subspace`. Arrays are read-only.

    Attributes
    ----------
    weights : tuple of ndarray, shape (k, k)
        The small network's start: epsilon_l I.
    target : ndarray, shape (k, k)
        The small network's target.
    scales : ndarray, shape (N,)
        epsilon_l: where the other directions of each layer start.
    frames : tuple of ndarray, shape (d, d)
        N + 1 orthogonal bases, of the input, of every hidden layer and of the output; in each,
        the first k vectors span the small network's share.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> wide = dln.init.orthogonal((8, 8, 8), scale=0.01, rng=0)
    >>> target = np.diag([2.0, 1.0, 0, 0, 0, 0, 0, 0])
    >>> reduced = dln.theory.invariant_subspace(wide, target)
    >>> reduced.size, reduced.weights[0].shape
    (4, (4, 4))
    """

    weights: tuple[FloatArray, ...]
    target: FloatArray
    scales: FloatArray
    frames: tuple[FloatArray, ...]

    @property
    def size(self) -> int:
        """Width k of the small network."""
        return len(self.target)

    def complement(
        self, learning_rate: float, steps: ArrayLike, weight_decay: float = 0.0
    ) -> FloatArray:
        """Return the strengths rho_l of all other directions under gradient descent.

        Parameters
        ----------
        learning_rate : float
            Above 0.
        steps : array_like of int, shape (...)
            The steps to return, at least 0, in any order.
        weight_decay : float, default 0.0
            At least 0.

        Returns
        -------
        ndarray, shape steps.shape + (N,)
            rho_l: its size is the singular value that d - k directions of layer l share.

        Raises
        ------
        ValueError, TypeError
            If something is outside the ranges above, or the strengths diverge.

        Notes
        -----
        rho_l <- rho_l (1 - learning_rate (weight_decay + prod_{k != l} rho_k^2)), the gradient
        towards a target of zero.
        """
        rate = as_real(learning_rate, "learning_rate", positive=True)
        decay = as_real(weight_decay, "weight_decay", minimum=0.0)
        wanted = as_steps(steps)
        distinct, place = np.unique(wanted, return_inverse=True)
        result = np.empty((distinct.size, self.scales.size))
        rho, step = self.scales.copy(), 0
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for i, until in enumerate(distinct.tolist()):
                while step < until:
                    new = _shrink(rho, rate, decay)
                    step = until if (new == rho).all() else step + 1
                    rho = new
                result[i] = rho
        if not np.isfinite(result).all():
            raise ValueError(
                f"learning_rate: expected a rate at which the other directions shrink, got {rate}, "
                "with which they diverge"
            )
        return result[place.reshape(wanted.shape)]

    def lift(self, weights: Sequence[ArrayLike], complement: ArrayLike) -> list[FloatArray]:
        """Return the wide network's layers.

        Parameters
        ----------
        weights : sequence of N array_like, shape (k, k)
            The small network's layers at some step.
        complement : array_like, shape (N,)
            The other directions' strengths at that step.

        Returns
        -------
        list of ndarray, shape (d, d)
            U_l blkdiag(weights[l], rho_l I) V_l^T with the frames V_l before and U_l after it.

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit, or something is not finite.
        """
        n_layers, k = len(self.weights), self.size
        small = [layer.astype(np.float64) for layer in as_weights(weights)]
        if [layer.shape for layer in small] != [(k, k)] * n_layers:
            raise ValueError(
                f"weights: expected {n_layers} layers of shape {(k, k)}, "
                f"got {[layer.shape for layer in small]}"
            )
        rho = as_array(complement, "complement", shape=(n_layers,))
        return [
            _assemble(layer, float(strength), before, after)
            for layer, strength, before, after in zip(
                small, rho, self.frames[:-1], self.frames[1:], strict=True
            )
        ]


def invariant_subspace(weights: Sequence[ArrayLike], target: ArrayLike) -> InvariantSubspace:
    """Reduce a wide network with an orthogonal start to its small equivalent.

    Parameters
    ----------
    weights : sequence of array_like, shape (d, d)
        The start, every layer orthogonal up to a factor and to rounding; a zero layer counts as
        0 times the identity.
    target : array_like, shape (d, d)
        Of rank r to rounding; 2 r < d is where the reduction pays.

    Returns
    -------
    InvariantSubspace
        Gradient descent with the same rate and decay on `weights` and `target` of the result,
        lifted together with its `complement`, is gradient descent on the wide network. The loss
        1/2 ||W - target||_F^2 of the wide one is the small one's plus (d - k) / 2 times the
        squared product of the complement. The width k is at most max(2 r, 1).

    Raises
    ------
    ValueError, TypeError
        If the layers are not square or not orthogonal up to a factor, shapes do not fit, or
        something is not finite.

    Notes
    -----
    [1]_ and [2]_, whose construction starts from a gradient; here the frames are those that the
    start carries along: with W_l = epsilon_l Q_l, the input frame spans the rows of the target
    and the columns of its transpose Q_N ... Q_1 pulls back, and Q_l takes each frame to the next.
    Small steps or large, the identity is exact; in floating point the wide network keeps it as
    well as it keeps its symmetry.

    References
    ----------
    .. [1] C. Yaras, P. Wang, W. Hu, Z. Zhu, L. Balzano and Q. Qu, "The law of parsimony in
       gradient descent for learning deep linear networks", 2023. arXiv:2306.01154
    .. [2] S. Kwon, Z. Zhang, D. Song, L. Balzano and Q. Qu, "Efficient compression of
       overparameterized deep models through low-dimensional learning dynamics", 2023.
       arXiv:2311.05061

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> target = np.diag([2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    >>> reduced = dln.theory.invariant_subspace([0.5 * np.eye(6)] * 3, target)
    >>> reduced.size, reduced.complement(0.1, [0, 1]).round(6).tolist()
    (2, [[0.5, 0.5, 0.5], [0.496875, 0.496875, 0.496875]])
    """
    layers = [layer.astype(np.float64) for layer in as_weights(weights)]
    d = layers[0].shape[1]
    goal = as_matrix(target, "target", shape=(d, d))
    split = [_split(layer, d, f"weights[{i}]") for i, layer in enumerate(layers)]
    rotations = [rotation for _, rotation in split]
    frame, k = _input_frame(goal, chain.product(rotations))
    frames = [frame]
    for rotation in rotations:
        frames.append(chain.product([frames[-1], rotation]))
    small = chain.product([frame, goal, frames[-1].T])
    scales = np.array([scale for scale, _ in split])
    return InvariantSubspace(
        weights=tuple(freeze(scale * np.eye(k)) for scale in scales),
        target=freeze(np.ascontiguousarray(small[:k, :k])),
        scales=freeze(scales),
        frames=tuple(freeze(f) for f in frames),
    )


def _split(layer: FloatArray, d: int, name: str) -> tuple[float, FloatArray]:
    """Return epsilon and Q of a layer epsilon Q."""
    if layer.shape != (d, d):
        raise ValueError(f"{name}: expected shape {(d, d)}, got {layer.shape}")
    largest = float(np.max(np.abs(layer)))
    if largest == 0.0:
        return 0.0, np.eye(d)
    # Scaled by the largest entry: squares of very small or very large entries leave the range.
    rotation = layer / largest
    scale = float(np.sqrt(np.sum(rotation * rotation) / d))
    rotation /= scale
    gram = chain.product([rotation, rotation.T])
    gap = float(np.max(np.abs(gram - np.eye(d))))
    if gap > _ORTHOGONALITY_TOLERANCE:
        raise ValueError(
            f"{name}: expected a multiple of an orthogonal matrix, got one whose columns, scaled "
            f"to norm 1, are up to {gap:g} away from orthonormal"
        )
    return scale * largest, rotation


def _input_frame(target: FloatArray, rotation: FloatArray) -> tuple[FloatArray, int]:
    """Return an orthogonal basis V, and how many of its first vectors the target acts on."""
    d = len(target)
    left, sigma, right = np.linalg.svd(target)
    r = int(np.count_nonzero(sigma > d * _EPSILON * sigma[0]))
    pulled_back = chain.product([left, rotation.T])
    vectors, lengths, _ = np.linalg.svd(
        np.hstack([right[:r].T, pulled_back[:, :r], np.zeros((d, 1))])
    )
    # A direction too many costs a little width; one too few would be an error.
    return vectors, max(1, int(np.count_nonzero(lengths > 4 * d * _EPSILON)))


def _shrink(rho: FloatArray, rate: float, decay: float) -> FloatArray:
    others = np.where(np.eye(rho.size, dtype=np.bool_), 1.0, rho).prod(axis=1)
    result: FloatArray = rho * (1.0 - rate * (decay + others * others))
    return result


def _assemble(
    layer: FloatArray, strength: float, before: FloatArray, after: FloatArray
) -> FloatArray:
    """Return U blkdiag(layer, strength I) V^T."""
    k, d = len(layer), len(before)
    inner = strength * np.eye(d)
    inner[:k, :k] = layer
    result: FloatArray = chain.product([before.T, inner, after])
    return result
