"""The end-to-end matrix at every step, with a slider."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import FloatArray, IndexArray
from ..names import Coords, recorded_names
from ..plots.matrices import is_recorded, matrices_of
from ..trajectory import Trajectory
from .across import Across
from .curves import new_figure
from .named_axes import hover_tool, room_below, texts_of, write_names
from .page import Part, Plot, Text
from .thinning import evenly

__all__ = ["TO_RECORD", "Frames", "frames_of", "slider_parts"]

# So much of the page is for the pictures of the matrix.
BYTES = 1_500_000
MOST_PIXELS_A_SIDE = 128
MOST_FRAMES = 400

# Entries are kept in units of their matrix's largest over this; below it is what is not finite.
UNITS = 32_000
MISSING = -32_768

TO_RECORD = Text(
    "The end-to-end matrix is not drawn, because it was not recorded: ask for it with "
    'Record(["loss", "singular_values", "end_to_end"]), or record "weights".',
    tone="hint",
)

# What happens when the slider moves.
MOVE = """
const k = Math.round(slider.value)
const {shade, value} = source.data
const n = shade[0].length
const own = colors.active == 1
const size = scales[k]
for (let i = 0; i < n; i++) {
  const unit = frames.data.entries[k * n + i]
  value[0][i] = unit == missing ? NaN : unit / units * size
  shade[0][i] = own && size > 0 ? value[0][i] / size : value[0][i]
}
const limit = own ? 1 : largest
mapper.low = -limit
mapper.high = limit
source.change.emit()
for (const cursor of cursors) {
  cursor.location = positions[k]
  cursor.visible = true
}
"""

PLAY = """
if (play.timer) clearInterval(play.timer)
if (play.active) {
  if (slider.value == slider.end) slider.value = slider.start
  play.timer = setInterval(() => {
    if (slider.value < slider.end) slider.value += 1
    else play.active = false
  }, 100)
}
"""


@dataclass(frozen=True)
class Frames:
    """Matrices at some records.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Which records.
    entries : ndarray, shape (n, rows, columns)
        The matrices, those of large ones averaged over blocks.
    block : int
        How many rows and columns of the matrix are one here.
    names : dict of str to ndarray
        Of inputs and outputs, if they have any.
    """

    places: IndexArray
    entries: FloatArray
    block: int
    names: Coords


def frames_of(trajectory: Trajectory) -> Frames | None:
    """Return the recorded end-to-end matrices that a page has room for; None if there are none."""
    data, widths = trajectory.data, trajectory.widths
    if not is_recorded(data):
        return None
    rows, columns = widths[-1], widths[0]
    block = max(1, -(-max(rows, columns) // MOST_PIXELS_A_SIDE))
    pixels = -(-rows // block) * -(-columns // block)
    limit = min(MOST_FRAMES, max(2, BYTES // (2 * pixels)))
    places = evenly(data.sizes["step"], limit)
    matrices = matrices_of(data.isel(step=places)).values.astype(np.float64)
    entries = np.array([_shrunk(matrix, block) for matrix in matrices])
    return Frames(places, entries, block, recorded_names(data))


def _shrunk(matrix: FloatArray, block: int) -> FloatArray:
    """Return means over blocks, in units in which sums do not overflow."""
    if block == 1:
        return matrix
    places = [np.arange(0, size, block) for size in matrix.shape]
    counts = [np.diff(np.append(at, size)) for at, size in zip(places, matrix.shape, strict=True)]
    scaled = matrix / (block * block)
    sums = np.add.reduceat(np.add.reduceat(scaled, places[0], axis=0), places[1], axis=1)
    mean: FloatArray = sums * (block * block / np.outer(*counts))
    return mean


def slider_parts(
    frames: Frames, trajectory: Trajectory, across: Across, target: FloatArray | None
) -> list[Part]:
    """Return the picture of the matrix with its slider, and the target beside it if it is known.

    Parameters
    ----------
    frames : Frames
        What to show.
    trajectory : Trajectory
        Where they come from.
    across : Across
        Of the curves, in which the slider moves a line.
    target : ndarray, shape (d_N, d_0), or None
        The matrix that W should become.
    """
    from bokeh.layouts import column

    largest = float(np.max(np.abs(frames.entries), where=np.isfinite(frames.entries), initial=0.0))
    mapper = _mapper(min(largest, 1e300) or 1.0)
    source, stored, scales = _sources(frames)
    picture = _picture(source, frames.entries.shape[1:], mapper, frames, "matrix")
    controls = _controls(frames, trajectory, across, source, stored, scales, mapper)
    rows, columns = trajectory.widths[-1], trajectory.widths[0]
    drawn = column(*controls, picture, sizing_mode="stretch_width")
    heading = f"End-to-end matrix W, {rows} x {columns}"
    parts: list[Part] = [Plot(heading, drawn, _notes(frames, trajectory))]
    if target is not None:
        parts.append(_target_part(target, frames))
    return parts


def _sources(frames: Frames) -> tuple[Any, Any, list[float]]:
    """Return what is drawn, what is kept of all records, and the largest entry of each."""
    from bokeh.models import ColumnDataSource

    entries = frames.entries[:, ::-1]  # drawn from the bottom up
    finite = np.isfinite(entries)
    scales = np.max(np.abs(entries), axis=(1, 2), where=finite, initial=0.0)
    units = np.where(scales > 0.0, scales, 1.0)[:, None, None]
    with np.errstate(invalid="ignore"):
        kept = np.where(finite, np.rint(entries / units * UNITS), MISSING).astype(np.int16)
    last = np.where(finite[-1], entries[-1], np.nan)
    source = ColumnDataSource({"shade": [last], "value": [last.copy()]})
    stored = ColumnDataSource({"entries": kept.reshape(len(kept), -1)})
    return source, stored, [float(scale) for scale in scales]


def _mapper(largest: float) -> Any:
    from bokeh.models import LinearColorMapper
    from bokeh.palettes import RdBu11, interp_palette

    palette = interp_palette(RdBu11, 255)
    return LinearColorMapper(palette=palette, low=-largest, high=largest, nan_color="#bbbbbb")


def _picture(source: Any, shape: tuple[int, ...], mapper: Any, frames: Frames, name: str) -> Any:
    from bokeh.models import BasicTickFormatter, ColorBar

    rows, columns = shape
    texts = texts_of(frames.names)
    drawing = new_figure(
        height=int(min(420, max(170, 90 + 360 * rows / columns)))
        + room_below(texts.get("input", ())),
        x_range=(0, columns),
        y_range=(0, rows),
        name=name,
    )
    drawing.axis.visible = False
    drawing.grid.visible = False
    if frames.block == 1:
        write_names(drawing, texts, rows)
    image = drawing.image(
        "shade",
        source=source,
        x=0,
        y=0,
        dw=columns,
        dh=rows,
        color_mapper=mapper,
        name=f"{name} image",
    )
    drawing.add_tools(hover_tool(image, rows, texts, frames.block))
    bar = ColorBar(color_mapper=mapper, width=12, padding=4)
    bar.formatter = BasicTickFormatter(power_limit_high=4, power_limit_low=-3)
    drawing.add_layout(bar, "right")
    return drawing


def _controls(
    frames: Frames,
    trajectory: Trajectory,
    across: Across,
    source: Any,
    stored: Any,
    scales: list[float],
    mapper: Any,
) -> list[Any]:
    from bokeh.layouts import row
    from bokeh.models import CustomJS, CustomJSTickFormatter, RadioButtonGroup, Slider, Toggle

    last = len(frames.places) - 1
    if last == 0:
        return []
    label = CustomJSTickFormatter(
        code="return labels[Math.round(tick)]", args={"labels": _labels(frames, trajectory, across)}
    )
    slider = Slider(
        start=0, end=last, step=1, value=last, title=across.name, format=label, name="slider"
    )
    slider.sizing_mode = "stretch_width"
    names = ["same colours", "own colours"]
    colors = RadioButtonGroup(labels=names, active=0, name="colors")
    play = Toggle(label="▶ play", name="play", width=70)
    move = CustomJS(
        args={
            **{"slider": slider, "colors": colors, "source": source, "frames": stored},
            **{"scales": scales, "mapper": mapper, "largest": mapper.high, "units": UNITS},
            **{"missing": MISSING, "cursors": across.cursors},
            "positions": across.positions(across.values[frames.places]).tolist(),
        },
        code=MOVE,
    )
    slider.js_on_change("value", move)
    colors.js_on_change("active", move)
    play.js_on_change("active", CustomJS(args={"slider": slider, "play": play}, code=PLAY))
    return [slider, row(play, colors)]


def _labels(frames: Frames, trajectory: Trajectory, across: Across) -> list[str]:
    """Return what the slider says at each of its places: the step, and the loss there."""
    at = across.values[frames.places]
    texts = [f"{value:,.0f}" if across.name == "step" else f"{value:.6g}" for value in at]
    if "loss" not in trajectory.data:
        return texts
    losses = trajectory.data["loss"].isel(step=frames.places).values
    return [f"{text} (loss {loss:.4g})" for text, loss in zip(texts, losses, strict=True)]


def _notes(frames: Frames, trajectory: Trajectory) -> list[str]:
    notes = []
    n, records = len(frames.places), trajectory.data.sizes["step"]
    if n > 1:
        notes.append(
            "The slider (arrow keys move it) moves a dotted line in the curves, too. Colours are "
            "the same at all steps, or reach to the largest entry of each."
        )
    if n < records:
        notes.append(f"{n:,} of {records:,} records are here.")
    if frames.block > 1:
        notes.append(f"A pixel is the mean of {frames.block} x {frames.block} entries.")
    if not np.isfinite(frames.entries).all():
        notes.append("Grey is not a number.")
    return notes


def _target_part(target: FloatArray, frames: Frames) -> Plot:
    from bokeh.models import ColumnDataSource

    entries = _shrunk(target, frames.block)[::-1]
    largest = float(np.abs(entries).max()) or 1.0
    source = ColumnDataSource({"shade": [entries], "value": [entries]})
    picture = _picture(source, entries.shape, _mapper(min(largest, 1e300)), frames, "target")
    return Plot(f"Target, {target.shape[0]} x {target.shape[1]}", picture)
