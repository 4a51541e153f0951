"""`datasets.image`: every kind of picture that Pillow reads, or the reason why it is refused."""

import io

import numpy as np
import pytest
from PIL import Image

import pydlnet as dln
from pydlnet import datasets

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (7, 5), dtype=np.uint8)


@pytest.fixture
def put(tmp_path):
    """Return a function that saves a picture and returns its path."""

    def save(picture, name="picture.png", **options):
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture)
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def whole(path, **options):
    return datasets.image(path, 1.0, **options).ground_truth


def test_known_pixels_and_the_rest(put):
    path = put(GREY)
    problem = datasets.image(path, 0.4, rng=1)
    truth = GREY / 255.0
    assert problem.shape == (7, 5)
    assert problem.n_samples == 14
    np.testing.assert_array_equal(problem.ground_truth, truth)
    rows, columns, values = problem.held_out
    np.testing.assert_array_equal(problem.values, truth[problem.rows, problem.columns])
    np.testing.assert_array_equal(values, truth[rows, columns])
    known = set(zip(problem.rows.tolist(), problem.columns.tolist(), strict=True))
    rest = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert known | rest == {(i, j) for i in range(7) for j in range(5)}
    assert not known & rest
    again = datasets.image(str(path), 0.4, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again.rows, problem.rows)
    other = datasets.image(path, 0.4, rng=2)
    assert set(zip(other.rows.tolist(), other.columns.tolist(), strict=True)) != known


def test_all_pixels_or_one(put):
    assert datasets.image(put(GREY), 1).held_out is None
    assert datasets.image(put(GREY), 1e-9).n_samples == 1
    one = datasets.image(put(GREY[:1, :1]), 0.5, rng=0)
    assert one.shape == (1, 1)
    assert one.held_out is None


def test_brightness_is_that_of_pillow_but_not_rounded(put):
    truth = whole(put(RGB))
    np.testing.assert_allclose(
        truth * 255.0, np.asarray(Image.fromarray(RGB).convert("L")), atol=0.5 + 1e-3
    )
    np.testing.assert_allclose(truth, RGB / 255.0 @ [0.299, 0.587, 0.114], rtol=1e-14)
    levels = np.arange(256, dtype=np.uint8)
    equal = whole(put(np.repeat(levels[:, None, None], 3, axis=2)))
    np.testing.assert_array_equal(equal[:, 0], levels / 255.0)


def test_one_problem_for_each_channel(put):
    problems = datasets.image(put(RGB), 0.5, rng=0, color=True)
    assert len(problems) == 3
    for k, problem in enumerate(problems):
        np.testing.assert_array_equal(problem.ground_truth, RGB[:, :, k] / 255.0)
        np.testing.assert_array_equal(problem.rows, problems[0].rows)
        np.testing.assert_array_equal(problem.columns, problems[0].columns)
    for problem in datasets.image(put(GREY), 0.5, rng=0, color=True):
        np.testing.assert_array_equal(problem.ground_truth, GREY / 255.0)
    ensemble = dln.run_ensemble(
        problems, dln.init.gaussian((5, 4, 7), 0.1, rng=0), dln.GradientDescent(0.1), n_steps=3
    )
    assert ensemble.data.sizes["run"] == 3


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif", "a.webp"])
def test_formats(put, name):
    lossless = {"lossless": True} if name.endswith("webp") else {}
    picture = Image.fromarray(RGB) if not name.endswith("gif") else Image.fromarray(GREY)
    expected = RGB / 255.0 @ [0.299, 0.587, 0.114] if not name.endswith("gif") else GREY / 255.0
    np.testing.assert_allclose(whole(put(picture, name, **lossless)), expected, rtol=1e-14)


def test_black_and_white_and_palettes(put):
    bits = Image.fromarray(GREY).convert("1")
    np.testing.assert_array_equal(whole(put(bits)), np.asarray(bits).astype(float))
    palette = Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE)
    expected = np.asarray(palette.convert("RGB")) / 255.0
    for k, problem in enumerate(datasets.image(put(palette), color=True)):
        np.testing.assert_array_equal(problem.ground_truth, expected[:, :, k])


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits(put, tmp_path, name):
    deep = RNG.integers(0, 2**16, (7, 5)).astype(np.uint16)
    deep[0, :2] = 0, 2**16 - 1
    if name.endswith("pgm"):  # which not every version of Pillow writes
        path = tmp_path / name
        path.write_bytes(b"P5 5 7 65535\n" + deep.astype(">u2").tobytes())
    else:
        path = put(deep, name)
    np.testing.assert_allclose(whole(path), deep / 65535.0, rtol=1e-7)
    assert whole(path).max() == 1.0
    assert whole(path, size=3).shape == (3, 2)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha(put, mode):
    picture = Image.fromarray(RGB).convert(mode)
    expected = whole(put(Image.fromarray(RGB).convert(mode.rstrip("A"))))
    np.testing.assert_array_equal(whole(put(picture)), expected)
    picture.putpixel((2, 3), (*picture.getpixel((2, 3))[:-1], 254))
    with pytest.raises(ValueError, match="has transparent pixels"):
        datasets.image(put(picture))


def test_a_transparent_color(put):
    palette = Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE)
    with pytest.raises(ValueError, match="has transparent pixels"):
        datasets.image(put(palette, transparency=palette.getpixel((0, 0))))
    with pytest.raises(ValueError, match="has transparent pixels"):
        datasets.image(put(GREY, transparency=int(GREY[0, 0])))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_of_a_camera(put, orientation):
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: a.T[:, ::-1],
        7: lambda a: a.T[::-1, ::-1],
        8: lambda a: a.T[::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = turned[orientation](GREY) / 255.0
    np.testing.assert_array_equal(whole(put(GREY, exif=exif)), expected)


def test_other_color_spaces(put):
    cmyk = Image.fromarray(RGB).convert("CMYK")
    np.testing.assert_allclose(whole(put(cmyk, "a.tif")), whole(put(RGB)), atol=0.01)


def test_the_longer_side_is_reduced(put):
    blocks = np.kron(GREY[:6, :4], np.ones((10, 10), dtype=np.uint8))
    np.testing.assert_allclose(whole(put(blocks), size=6), GREY[:6, :4] / 255.0, rtol=1e-14)
    assert whole(put(GREY), size=100).shape == (7, 5)
    assert whole(put(GREY[:, :1]), size=2).shape == (2, 1)
    assert whole(put(np.repeat(RGB, 9, axis=1)), size=9).shape == (1, 9)


@pytest.mark.parametrize(
    ("mode", "message"), [("F", "mode 'F'"), ("I", "more than 16 bits"), ("LAB", "mode 'LAB'")]
)
def test_values_without_a_range(put, mode, message):
    if mode == "LAB":
        picture = Image.frombytes("LAB", (5, 7), RGB.tobytes())
    else:
        picture = Image.fromarray(GREY).convert(mode)
    if mode == "I":
        picture.putpixel((0, 0), 70_000)
    with pytest.raises(ValueError, match=f"{message}.*MatrixCompletion.from_dense"):
        datasets.image(put(picture, "a.tif"))


def test_several_frames(put):
    second = Image.fromarray(255 - GREY)
    for name in ("a.gif", "a.png", "a.tif"):
        path = put(GREY, name, save_all=True, append_images=[second])
        with pytest.raises(ValueError, match="has 2 frames, expected one picture"):
            datasets.image(path)
    # Cameras add a preview to the picture; the first is the one that is meant.
    camera = put(RGB, "a.mpo", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    np.testing.assert_allclose(whole(camera), whole(put(RGB, "a.jpg", format="JPEG")), rtol=1e-14)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40), b"meow"])
def test_what_is_no_picture(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"path: no picture can be read from .*a\.png"):
        datasets.image(tmp_path / "a.png")


def test_the_message_is_not_about_memory(tmp_path):
    (tmp_path / "a.png").write_bytes(b"meow")
    with pytest.raises(ValueError, match=r"a\.png \(Pillow does not know what it is\)$"):
        datasets.image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif"])
def test_damaged_pictures(put, name):
    """Truncated or with a wrong byte: an error that names the file, or a picture of some size."""
    path = put(GREY, name)
    content = path.read_bytes()
    draws, messages = np.random.default_rng(0), []
    for place in draws.integers(len(content), size=100):
        wrong = bytes([draws.integers(256)])
        for damaged in (content[:place], content[:place] + wrong + content[place + 1 :]):
            path.write_bytes(damaged)
            try:
                truth = whole(path)
            except ValueError as error:
                messages.append(str(error))
            else:
                assert truth.min() >= 0.0
                assert truth.max() <= 1.0
    assert len(messages) > 50
    assert all(message.startswith("path: ") for message in messages)


def test_a_picture_that_would_fill_the_memory(put, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(ValueError, match=r"35 pixels.*exceeds limit of 30"):
        datasets.image(put(GREY))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="exceeds limit of 20"):
        datasets.image(put(GREY))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fraction": 0.0}, ValueError, "fraction: expected a finite number > 0"),
        ({"fraction": 1.01}, ValueError, r"fraction: expected a number in \(0, 1\], got 1\.01"),
        ({"fraction": float("nan")}, ValueError, "fraction: expected"),
        ({"fraction": "0.3"}, TypeError, "fraction: expected a real number"),
        ({"rng": 1.5}, TypeError, "rng: expected"),
        ({"color": 1}, TypeError, "color: expected a bool, got int"),
        ({"size": 0}, ValueError, "size: expected an integer >= 1"),
        ({"size": 2.0}, TypeError, "size: expected an integer"),
    ],
)
def test_wrong_arguments(put, options, error, message):
    with pytest.raises(error, match=message):
        datasets.image(put(GREY), **options)


def test_paths_of_nothing(tmp_path):
    for path in (tmp_path, tmp_path / "no.png"):
        with pytest.raises(FileNotFoundError, match="path: no file"):
            datasets.image(path)
    with pytest.raises(TypeError, match="path: expected a str"):
        datasets.image(io.BytesIO(b""))
