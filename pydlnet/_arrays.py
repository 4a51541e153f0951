"""Arrays of other libraries as NumPy's: taken as they are where their numbers are at hand.

No library is imported for it. What has no numbers in this process's memory, or not all of them, is
refused by the name of the argument, with what to do.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_numpy", "is_dataarray", "is_pandas"]

# Devices of the DLPack protocol whose memory the processor reads: its own, memory that was pinned
# for a GPU of either make, and memory that both share.
_READABLE = (1, 3, 11, 13)

# Methods that only sparse arrays have.
_TO_DENSE = ("toarray", "todense")
_TO_HOST = {"torch": "use .cpu()", "cupy": "use .get()", "jaxlib": "use jax.device_get"}


def as_numpy(value: Any, name: str) -> NDArray[Any]:
    """Return an array of any library, or nested sequences, as a NumPy array of whatever it holds.

    Parameters
    ----------
    value : array_like
        Of NumPy, PyTorch (with its gradient left behind), JAX, any library of the Python array API
        standard, pandas or xarray; a buffer; sequences of numbers.
    name : str
        What messages call it.

    Returns
    -------
    ndarray
        It shares the memory of `value` where that is possible.

    Raises
    ------
    TypeError
        If it is on another device, sparse, masked, or cannot be read.
    ValueError
        If sequences in it differ in length.
    """
    if type(value) is np.ndarray:
        return value
    array_like = _at_hand(value, name)
    try:
        array = np.asarray(array_like)
        if array.dtype == object and hasattr(type(value), "__dlpack__"):
            array = np.from_dlpack(array_like)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array: {error}") from None
    except (TypeError, RuntimeError, BufferError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TypeError(f"{name}: expected an array: {reason}") from None
    return array


def is_pandas(value: Any) -> bool:
    """Whether a value is a DataFrame, a Series or another table that selects as pandas does."""
    return hasattr(type(value), "iloc")


def is_dataarray(value: Any) -> bool:
    """Whether a value is an array of xarray's."""
    return all(hasattr(type(value), part) for part in ("isel", "dims", "coords", "variable"))


def _at_hand(value: Any, name: str) -> Any:
    """Return a value that NumPy can read, or refuse it by what it is."""
    kind = type(value)  # columns of a DataFrame are attributes of the value, not of its type
    if np.ma.is_masked(value):
        raise TypeError(
            f"{name}: expected an array without masked entries, got a {kind.__name__}; use "
            ".filled(NUMBER), or MatrixCompletion for a matrix some entries of which are known"
        )
    for method in _TO_DENSE:
        if hasattr(kind, method):
            raise TypeError(f"{name}: expected a dense array, got {kind.__name__}; use .{method}()")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _of_tensor(value, name, torch)
    if is_dataarray(value):
        return _at_hand(value.data, name)
    _check_device(value, name)
    return value


def _of_tensor(tensor: Any, name: str, torch: Any) -> Any:
    if tensor.layout != torch.strided:
        raise TypeError(
            f"{name}: expected a dense array, got a tensor of layout {tensor.layout}; use "
            ".to_dense()"
        )
    if tensor.device.type != "cpu":
        _refuse_device(tensor, name, str(tensor.device))
    if tensor.dtype == torch.bfloat16:
        raise TypeError(f"{name}: expected float32 or float64, got BFloat16; use .float()")
    return tensor.detach().resolve_conj().resolve_neg()


def _check_device(value: Any, name: str) -> None:
    if isinstance(value, np.ndarray | np.generic) or not hasattr(type(value), "__dlpack_device__"):
        return
    try:
        device, number = value.__dlpack_device__()
    except Exception:  # what is in several parts, or not known yet, shows when it is read
        return
    if int(device) not in _READABLE:
        _refuse_device(value, name, str(getattr(value, "device", f"device {number}")))


def _refuse_device(value: Any, name: str, device: str) -> None:
    library = type(value).__module__.partition(".")[0]
    how = _TO_HOST.get(library, "copy it there first")
    raise TypeError(
        f"{name}: expected an array in the memory of the processor, got a {type(value).__name__} "
        f"on {device}; {how}"
    )
