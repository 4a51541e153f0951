"""Between lists of layers and PyTorch: networks read, built, and run through the fused pass.

Needs the extra ``torch``.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    import torch
    from torch import Tensor, nn
except ModuleNotFoundError as error:
    raise ImportError(
        'pydlnet.torch needs PyTorch: pip install "pydlnet[torch]"', name="torch"
    ) from error

from . import _core
from ._validation import as_weights

__all__ = ["ChainedLinear", "to_sequential", "weights"]

# The core copies the layers: in the time that as many samples take to go through them.
SAMPLES_FOR_COPIES = 64

# Tensors that the core can read.
_DTYPES = (torch.float32, torch.float64)


def weights(model: nn.Module) -> list[NDArray[Any]]:
    """Copy the layers out of a linear network.

    Parameters
    ----------
    model : torch.nn.Module
        A `torch.nn.Linear` without bias, a `ChainedLinear`, or a `torch.nn.Sequential` of these, of
        `torch.nn.Identity`, and of further `Sequential`; on any device.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The layers, the first one acting first, in their dtype; they share no memory with `model`.

    Raises
    ------
    ValueError, TypeError
        If a module has a bias or is of another kind, named as in ``model[2][0]``; if a hook makes
        its weight (pruning); if the layers do not form a finite chain of one dtype, float32 or
        float64.

    Examples
    --------
    >>> import pydlnet as dln
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    >>> [layer.shape for layer in dln.torch.weights(model)]
    [(3, 4), (2, 3)]
    """
    layers = []
    for name, linear in _linear_layers(model, "model"):
        if "weight" in vars(linear):  # and not among the parameters, nor computed when asked for
            raise ValueError(
                f"{name}: its weight is made by a hook when the module is called, and may be of an "
                "earlier step; end that first, for instance by torch.nn.utils.prune.remove"
            )
        _check_tensor(linear.weight, f"{name}.weight", any_device=True)
        layers.append(linear.weight.numpy(force=True).copy())
    return as_weights(layers, "layers of model")


def to_sequential(weights: Sequence[ArrayLike]) -> nn.Sequential:
    """Build a `torch.nn.Sequential` of `torch.nn.Linear` without biases.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32, which is the dtype of the module.

    Returns
    -------
    torch.nn.Sequential
        With copies of the layers, on the CPU: `weights` of this module gives them back.

    Raises
    ------
    ValueError, TypeError
        If the layers are not finite matrices of one dtype whose shapes follow one another.

    Examples
    --------
    >>> import pydlnet as dln
    >>> model = dln.torch.to_sequential(dln.init.balanced((4, 3, 2), scale=0.1, rng=0))
    >>> list(model.state_dict())
    ['0.weight', '1.weight']
    """
    return nn.Sequential(*_modules(weights))


class ChainedLinear(nn.Module):
    """A linear network without biases, y = W_N ... W_1 x, on the fused pass of the core.

    It takes the place of the `torch.nn.Sequential` of `torch.nn.Linear` that `to_sequential`
    builds: the same children "0", "1", ..., so the same parameters and `state_dict`.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers at the start, for instance of `pydlnet.init`; all float64 or all float32, which
        is the dtype of the module. Copied.

    Raises
    ------
    ValueError, TypeError
        If the layers are not finite matrices of one dtype whose shapes follow one another.

    Notes
    -----
    With many samples the core multiplies the layers, and the samples are multiplied by their
    product alone: forward, samples X (n, d_0) give X W^T; backward, with the gradient D (n, d_N) of
    the outputs, the layers get what `pydlnet.chain.gradients` makes of D^T X. With few samples this
    takes longer than one layer after the other, and then the module does what `Sequential` does.
    With s_j = d_j d_{j-1} and C the multiplications in W_N ... W_1, the product is formed for
    n (s_1 + ... + s_N - d_0 d_N) >= 2 C + 64 (s_1 + ... + s_N): for square layers of width d from
    about 2 d + 100 samples on, and never with a hidden layer much narrower than input and output.
    The sums have another order than those of `Sequential`: results agree to rounding.

    Second derivatives, `torch.compile`, `torch.export`, the transforms of `torch.func`, and modules
    whose layers have hooks (also those of pruning) use PyTorch's own operations in place of the
    core. The core reads float32 and float64 on the CPU and
    uses one thread. ``docs/libraries.md`` says how fast this is.

    Examples
    --------
    >>> import pydlnet as dln
    >>> import torch
    >>> model = dln.torch.ChainedLinear(dln.init.balanced((4, 3, 3, 2), scale=0.1, rng=0))
    >>> model(torch.ones(5, 4, dtype=torch.float64)).shape
    torch.Size([5, 2])
    """

    def __init__(self, weights: Sequence[ArrayLike]) -> None:
        super().__init__()
        for name, linear in enumerate(_modules(weights)):
            self.add_module(str(name), linear)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs to outputs.

        Parameters
        ----------
        inputs : torch.Tensor, shape (..., d_0)
            Any number of samples, also none, in the dtype of the layers and on the CPU.

        Returns
        -------
        torch.Tensor, shape (..., d_N)

        Raises
        ------
        ValueError, TypeError
            If inputs or layers are of another dtype, on another device or of another shape; if
            modules were added that are no linear layers.
        """
        layers = [linear.weight for _, linear in _linear_layers(self, "ChainedLinear")]
        # Hooks may change a weight, and look at what is between.
        if any(_has_hooks(module) for module in self.modules() if module is not self):
            for child in self._modules.values():
                inputs = child(inputs)  # type: ignore[misc]
            return inputs
        if torch.compiler.is_compiling():
            return _in_torch(inputs, *layers)
        _check(inputs, layers)
        n_samples = inputs.shape[:-1].numel()
        if not _is_chained(n_samples, layers):
            return _in_torch(inputs, *layers)
        samples = inputs.reshape(n_samples, inputs.shape[-1])
        outputs: Tensor = _Chain.apply(samples, *layers)  # type: ignore[no-untyped-call]
        return outputs.reshape(*inputs.shape[:-1], layers[-1].shape[0])


class _Chain(torch.autograd.Function):
    """Samples times the product of the layers."""

    @staticmethod
    def forward(samples: Tensor, *layers: Tensor) -> Tensor:
        return samples @ _product(layers).T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = output_gradients
        samples, *layers = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants to differentiate this
            return _gradients_in_torch(gradient, samples, *layers)
        through = gradient @ _product(layers) if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[1:]):
            return through, *[None] * len(layers)
        gradients = _core.chain_gradients([*map(_array, layers)], _array(gradient.T @ samples))
        return through, *map(torch.from_numpy, gradients)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        samples, *layers = ctx.saved_tensors
        change, *directions = (
            torch.zeros_like(primal) if tangent is None else tangent
            for primal, tangent in zip(ctx.saved_tensors, tangents, strict=True)
        )
        for layer, direction in zip(layers, directions, strict=True):
            change = change @ layer.T + samples @ direction.T
            samples = samples @ layer.T
        return change

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        mapped: Tensor = torch.vmap(_in_torch, in_dims)(*tensors)
        return mapped, 0


def _in_torch(samples: Tensor, *layers: Tensor) -> Tensor:
    """One layer after the other."""
    for layer in layers:
        samples = nn.functional.linear(samples, layer)
    return samples


def _gradients_in_torch(gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return gradients in samples and layers that can be differentiated again."""
    *below, _ = itertools.accumulate(inputs, lambda samples, layer: samples @ layer.T)
    gradients = []
    for samples, layer in zip(reversed(below), reversed(inputs[1:]), strict=True):
        gradients.append(gradient.T @ samples)
        gradient = gradient @ layer
    return gradient, *reversed(gradients)


def _is_chained(n_samples: int, layers: Sequence[Tensor]) -> bool:
    """Whether it pays to multiply the layers first."""
    sizes = [layer.numel() for layer in layers]
    n_outputs, n_inputs = layers[-1].shape[0], layers[0].shape[1]
    saved = sum(sizes) - n_outputs * n_inputs
    product = min(n_inputs * sum(sizes[1:]), n_outputs * sum(sizes[:-1]))
    return n_samples * saved >= 2 * product + SAMPLES_FOR_COPIES * sum(sizes)


def _product(layers: Sequence[Tensor]) -> Tensor:
    return torch.from_numpy(_core.chain_product([*map(_array, layers)]))


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.numpy(force=True))


def _modules(weights: Sequence[ArrayLike]) -> Iterator[nn.Linear]:
    for layer in as_weights(weights):
        n_outputs, n_inputs = layer.shape
        # Neither drawn, which would move PyTorch's random numbers on, nor shared.
        linear = nn.Linear(n_inputs, n_outputs, bias=False, device="meta")
        linear.weight = nn.Parameter(torch.from_numpy(layer.copy()))
        yield linear


def _linear_layers(module: nn.Module | None, name: str) -> Iterator[tuple[str, nn.Linear]]:
    """Yield the linear layers of a network and their names, in order."""
    if _is_chain(module):
        for key, child in module._modules.items():  # named_children() shows shared ones once only
            yield from _linear_layers(
                child, f"{name}[{key}]" if key.isdecimal() else f"{name}.{key}"
            )
    elif _is_linear(module):
        if module.bias is not None:
            raise ValueError(f"{name}: expected a linear layer without bias, got one with a bias")
        yield name, module
    elif not isinstance(module, nn.Identity):
        kind = type(module).__name__
        raise TypeError(
            f"{name}: expected torch.nn.Linear without bias or torch.nn.Sequential, got {kind}"
        )


def _is_chain(module: object) -> TypeGuard[nn.Module]:
    """Whether a module calls its children one after the other and does nothing else."""
    return _forward(module) in (nn.Sequential.forward, ChainedLinear.forward)


def _is_linear(module: object) -> TypeGuard[nn.Linear]:
    """Whether a module is a linear layer that does nothing else, and has its weight already."""
    plain = isinstance(module, nn.Linear) and _forward(module) is nn.Linear.forward
    return plain and not isinstance(module, nn.LazyLinear)


def _forward(module: object) -> object:
    """Return what a module calls; None if that was replaced in this one alone."""
    own = "forward" in getattr(module, "__dict__", ())
    return None if own else getattr(type(module), "forward", None)


def _has_hooks(module: nn.Module) -> bool:
    return bool(
        module._forward_pre_hooks
        or module._forward_hooks
        or module._backward_pre_hooks
        or module._backward_hooks
    )


def _check(inputs: Tensor, layers: Sequence[Tensor]) -> None:
    if torch.is_autocast_enabled("cpu"):
        raise TypeError("inputs: expected no torch.autocast, which casts to half precision")
    _check_tensor(inputs, "inputs")
    for i, layer in enumerate(layers):
        name = f"weight of layer {i + 1}"
        _check_tensor(layer, name)
        if layer.dtype != inputs.dtype:
            raise TypeError(f"{name}: expected {inputs.dtype} like inputs, got {layer.dtype}")
    if inputs.ndim == 0 or inputs.shape[-1] != layers[0].shape[1]:
        expected = layers[0].shape[1]
        raise ValueError(f"inputs: expected shape (..., {expected}), got {tuple(inputs.shape)}")


def _check_tensor(tensor: Tensor, name: str, any_device: bool = False) -> None:
    """Raise unless the core can read the tensor."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "a nested one" if tensor.is_nested else f"layout {tensor.layout}"
        raise TypeError(f"{name}: expected a dense tensor, got {kind}")
    if tensor.dtype not in _DTYPES:
        raise TypeError(f"{name}: expected torch.float32 or torch.float64, got {tensor.dtype}")
    if tensor.is_meta or (tensor.device.type != "cpu" and not any_device):
        place = "with data" if any_device else "on the CPU"
        raise ValueError(f"{name}: expected a tensor {place}, got one on {tensor.device}")
