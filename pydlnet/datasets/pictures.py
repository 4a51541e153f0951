"""Pictures of which a fraction of the pixels is known."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .._validation import FloatArray, as_count, as_path, as_real, as_rng
from ..problems import MatrixCompletion

if TYPE_CHECKING:
    import os

    from PIL import Image

__all__ = ["image"]

_Three = tuple[MatrixCompletion, MatrixCompletion, MatrixCompletion]

_RED, _BLUE = 0.299, 0.114  # weights in the brightness of ITU-R BT.601; the rest is that of green

_EIGHT_BITS = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # "I" is how older versions have them

# A colour JPEG of several pictures: cameras add a preview or a depth map to the one that is meant.
_FIRST_COUNTS = ("MPO",)


@overload
def image(
    path: str | os.PathLike[str],
    fraction: float = ...,
    rng: int | np.random.Generator | None = ...,
    *,
    color: Literal[False] = ...,
    size: int | None = ...,
) -> MatrixCompletion: ...


@overload
def image(
    path: str | os.PathLike[str],
    fraction: float = ...,
    rng: int | np.random.Generator | None = ...,
    *,
    color: Literal[True],
    size: int | None = ...,
) -> _Three: ...


def image(
    path: str | os.PathLike[str],
    fraction: float = 0.3,
    rng: int | np.random.Generator | None = None,
    *,
    color: bool = False,
    size: int | None = None,
) -> MatrixCompletion | _Three:
    """Return the problem of completing a picture from a fraction of its pixels.

    Parameters
    ----------
    path : str or path-like
        Any picture that Pillow reads: PNG, JPEG, TIFF, ...
    fraction : float, default 0.3
        How many of the pixels are known, in (0, 1]; at least one is.
    rng : int, numpy.random.Generator or None
        Which they are, uniformly without replacement; as in SPEC 7.
    color : bool, default False
        One problem for each of red, green and blue, with the same known pixels, in place of one of
        brightness. `run_ensemble` takes the three as they are.
    size : int, optional
        Number of pixels to which the longer side is reduced if it has more.

    Returns
    -------
    MatrixCompletion or tuple of three MatrixCompletion
        Values from 0 (black) to 1 (white); rows from the top, columns from the left. The whole
        picture is `ground_truth`, for `reconstruction_error`; the other pixels are `held_out`, for
        `held_out_error`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If Pillow cannot read it; if it has transparent pixels, several frames, more pixels than
        Pillow takes for harmless, or values without a known range (floating point, more than 16
        bits); or if `fraction` or `size` is out of range.
    TypeError
        If an argument is of a wrong type.

    Notes
    -----
    Brightness is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), not rounded. The rotation that a
    camera notes in EXIF is applied; alpha that hides nothing is left out; palettes, CMYK and YCbCr
    become red, green and blue. Grey pictures are read with 16 bits where they have them, those in
    colour with 8, as Pillow reads them.

    Examples
    --------
    >>> from matplotlib.cbook import get_sample_data
    >>> from pydlnet import datasets
    >>> path = get_sample_data("grace_hopper.jpg", asfileobj=False)
    >>> datasets.image(path, 0.5, rng=0, size=60)
    MatrixCompletion(shape=(60, 51), n_observed=1530, n_held_out=1530, reduction='mean')
    """
    share = as_real(fraction, "fraction", above=0.0)
    if share > 1.0:
        raise ValueError(f"fraction: expected a number in (0, 1], got {fraction}")
    if not isinstance(color, bool):
        raise TypeError(f"color: expected a bool, got {type(color).__name__}")
    longest = None if size is None else as_count(size, "size", 1)
    location = as_path(path, "path")
    if not location.is_file():
        raise FileNotFoundError(f"path: no file {str(location)!r}")
    channels = _channels(location, longest)
    known = _chosen(channels.shape[:2], share, as_rng(rng))
    if color:
        red, green, blue = (channels[:, :, k % channels.shape[2]] for k in range(3))
        return _problem(red, known), _problem(green, known), _problem(blue, known)
    return _problem(_brightness(channels), known)


def _chosen(
    shape: tuple[int, ...], fraction: float, rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    n_pixels = shape[0] * shape[1]
    known = np.zeros(n_pixels, dtype=np.bool_)
    known[rng.permutation(n_pixels)[: max(1, round(fraction * n_pixels))]] = True
    return known.reshape(shape)


def _problem(picture: FloatArray, known: Any) -> MatrixCompletion:
    rows, columns = np.nonzero(~known)
    rest = (rows, columns, picture[rows, columns]) if rows.size else None
    return MatrixCompletion.from_dense(picture, known, held_out=rest, ground_truth=picture)


def _brightness(channels: FloatArray) -> FloatArray:
    if channels.shape[2] == 1:
        return np.ascontiguousarray(channels[:, :, 0])
    red, green, blue = (channels[:, :, k] for k in range(3))
    # So written, a grey pixel keeps its value to the last bit, and white is 1.
    grey = green + _RED * (red - green) + _BLUE * (blue - green)
    return np.clip(grey, 0.0, 1.0)


def _channels(location: Path, longest: int | None) -> FloatArray:
    """Return the pixels in [0, 1], shape (height, width, 1 or 3)."""
    from PIL import ImageOps

    with _opened(location) as picture:
        with _reading(location):
            picture.load()
            upright = ImageOps.exif_transpose(picture)
        _check_kind(upright, location)
        if upright.mode in _SIXTEEN_BITS:
            return _sixteen_bits(upright, location, longest)
        plain = _without_alpha(upright, location)
        mode = "L" if plain.mode in ("1", "L") else "RGB"
        pixels = np.asarray(_reduced(plain.convert(mode), longest), dtype=np.float64) / 255.0
    return pixels[:, :, np.newaxis] if mode == "L" else pixels


@contextmanager
def _opened(location: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with _reading(location):
        # From memory, because Pillow leaves files open that it cannot read.
        picture = Image.open(io.BytesIO(location.read_bytes()))
        frames = getattr(picture, "n_frames", 1)
    with picture:
        if frames > 1 and picture.format not in _FIRST_COUNTS:
            raise ValueError(f"path: {location} has {frames} frames, expected one picture")
        yield picture


@contextmanager
def _reading(location: Path) -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which nobody asked for
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except PermissionError:
        raise
    except UnidentifiedImageError:  # whose message is about the place in memory
        raise ValueError(
            f"path: no picture can be read from {location} (Pillow does not know what it is)"
        ) from None
    except Exception as error:  # Pillow lets out whatever wrong bytes come to
        raise ValueError(f"path: no picture can be read from {location} ({error})") from None


def _check_kind(picture: Image.Image, location: Path) -> None:
    if picture.mode not in (*_EIGHT_BITS, *_SIXTEEN_BITS):
        raise ValueError(
            f"path: {location} has pixels of mode {picture.mode!r}, whose range is not known; give "
            "them, scaled to [0, 1], to MatrixCompletion.from_dense"
        )


def _sixteen_bits(picture: Image.Image, location: Path, longest: int | None) -> FloatArray:
    from PIL import Image

    levels = np.array(picture, dtype=np.int64)
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high >= 2**16:
        raise ValueError(
            f"path: {location} has values of more than 16 bits, from {low} to {high}; give them, "
            "scaled to [0, 1], to MatrixCompletion.from_dense"
        )
    floats = Image.fromarray((levels / 65535.0).astype(np.float32))
    pixels = np.asarray(_reduced(floats, longest), dtype=np.float64)
    return np.clip(pixels, 0.0, 1.0)[:, :, np.newaxis]


def _without_alpha(picture: Image.Image, location: Path) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    with_alpha = picture.convert("RGBA")
    if np.asarray(with_alpha.getchannel("A")).min() < 255:
        raise ValueError(
            f"path: {location} has transparent pixels, which have no value; put it on a background "
            "first"
        )
    return with_alpha.convert("L" if picture.mode in ("L", "LA", "1") else "RGB")


def _reduced(picture: Image.Image, longest: int | None) -> Image.Image:
    """Return the picture with its longer side reduced, every pixel the mean of what it covers."""
    from PIL import Image

    if longest is None or max(picture.size) <= longest:
        return picture
    scale = longest / max(picture.size)
    size = tuple(max(1, round(scale * side)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BOX)
