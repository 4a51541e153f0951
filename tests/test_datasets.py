"""The loader of the gas sensor data, on small archives in UCI's layout."""

import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from local_server import LocalServer

from pydlnet import datasets
from pydlnet.datasets import archives, gas

GAS_SENSOR = os.environ.get("PYDLNET_GAS_SENSOR")


def line(label, concentration, offset=0.0):
    features = " ".join(f"{k}:{k + offset:.6f}" for k in range(1, 129))
    return f"{label};{concentration:.6f} {features} \n"


BATCHES = {
    1: line(1, 10.0) + line(2, 20.0),
    2: line(1, 30.0, 0.5),
    10: line(6, 50.0) + "\n" + line(1, 40.0, 0.25),
}


def write_zip(path, batches=BATCHES, folder="Dataset/"):
    # Batch 10 first: the order of the files in the archive must not matter.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in sorted(batches, key=str, reverse=True):
            archive.writestr(f"{folder}batch{number}.dat", batches[number])
    return path


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "gas.zip")


@pytest.mark.parametrize("folder", ["Dataset/", "", "deep/down/"])
def test_rows_of_one_gas_in_the_order_of_the_batches(tmp_path, folder):
    inputs, outputs = datasets.gas_sensor(write_zip(tmp_path / "gas.zip", folder=folder))
    assert inputs.shape == (3, 128)
    assert outputs.shape == (3, 1)
    assert inputs.dtype == outputs.dtype == np.float64
    assert inputs.flags.c_contiguous
    assert outputs.flags.c_contiguous
    np.testing.assert_array_equal(outputs[:, 0], [10.0, 30.0, 40.0])
    np.testing.assert_array_equal(inputs, np.arange(1.0, 129.0) + np.array([[0.0], [0.5], [0.25]]))


@pytest.mark.parametrize(
    ("gas", "expected"), [("Ethylene", 20.0), (2, 20.0), (np.int64(6), 50.0), (" TOLUENE ", 50.0)]
)
def test_gases_by_name_and_label(archive, gas, expected):
    assert datasets.gas_sensor(archive, gas)[1].tolist() == [[expected]]


def test_labels_are_those_of_uci():
    assert dict(enumerate(datasets.GASES, start=1)) == {
        1: "ethanol",
        2: "ethylene",
        3: "ammonia",
        4: "acetaldehyde",
        5: "acetone",
        6: "toluene",
    }


@pytest.mark.parametrize("inside", ["", "Dataset"])
def test_an_unpacked_folder_reads_like_its_archive(tmp_path, archive, inside):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    (tmp_path / "unpacked" / "README.txt").write_text("not a batch")
    folder = datasets.gas_sensor(tmp_path / "unpacked" / inside)
    for got, expected in zip(folder, datasets.gas_sensor(str(archive)), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_one_of_the_files(tmp_path):
    (tmp_path / "batch10.dat").write_text(BATCHES[10])
    inputs, outputs = datasets.gas_sensor(tmp_path / "batch10.dat")
    assert inputs.shape == (1, 128)
    assert outputs.tolist() == [[40.0]]
    (tmp_path / "batch10.dat").write_text("1;2 3:4\n")
    with pytest.raises(ValueError, match=r"batch10\.dat, line 1: expected 'gas;"):
        datasets.gas_sensor(tmp_path / "batch10.dat")


@pytest.mark.parametrize("name", ["batch1.dat", "inner.zip"])
def test_a_file_that_would_fill_the_memory(tmp_path, monkeypatch, name):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, bytes(1_000_001))
    monkeypatch.setattr(archives, "MOST_BYTES", 10**6)
    with pytest.raises(ValueError, match=rf"bomb\.zip.*{name} would unpack to 1,000,001 bytes"):
        datasets.gas_sensor(tmp_path / "bomb.zip")


def test_an_archive_packed_twice(tmp_path, archive):
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(archive, "Dataset.zip")
    np.testing.assert_array_equal(
        datasets.gas_sensor(tmp_path / "outer.zip")[0], datasets.gas_sensor(archive)[0]
    )


def test_files_that_macos_adds_are_ignored(tmp_path, archive):
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("__MACOSX/Dataset/._batch1.dat", b"\x00\x05\x16\x07")
    assert len(datasets.gas_sensor(archive)[0]) == 3


def test_a_missing_file_says_where_the_data_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.zip.*https://doi\.org/10\.24432/C5MK6M"):
        datasets.gas_sensor(tmp_path / "nothing.zip")


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9])
def test_a_truncated_archive(tmp_path, archive, keep):
    content = archive.read_bytes()
    archive.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(ValueError, match="not a complete zip archive"):
        datasets.gas_sensor(archive)


def test_a_damaged_member(tmp_path, archive):
    content = bytearray(archive.read_bytes())
    start = content.index(b"batch1.dat") + 30
    content[start : start + 20] = bytes(20)
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="not a complete zip archive"):
        datasets.gas_sensor(archive)


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("cats.txt", "meow")
    with pytest.raises(ValueError, match=r"holds no files batch1\.dat"):
        datasets.gas_sensor(tmp_path / "other.zip")


def test_a_batch_that_is_there_twice(tmp_path, archive):
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("copy/batch2.dat", BATCHES[2])
    with pytest.raises(ValueError, match="holds batch 2 twice"):
        datasets.gas_sensor(archive)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("1;10.0 1:2.0\n", "1 features instead of 128"),
        (line(1, 10.0).replace(" 5:", " 6:"), "feature 5 reads '6:5.000000'"),
        (line(1, 10.0).replace("7:7.000000", "7:seven"), "seven"),
        (line(1, 10.0).replace("7:7.000000", "7:nan"), "'nan' is not finite"),
        (line(1, 10.0).replace("7:7.000000", "7:1e999"), "is not finite"),
        (line(7, 10.0), "unknown gas label 7"),
        (line("x", 10.0), "'x'"),
        ("1 10.0\n", "unpack"),
        ("\xff\x00\n", "expected 'gas;concentration"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, bad, reason):
    path = write_zip(tmp_path / "gas.zip", {**BATCHES, 2: line(1, 1.0) + "\n" + bad})
    with pytest.raises(ValueError, match=r"batch2\.dat, line 3: ") as caught:
        datasets.gas_sensor(path)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("gas", "error", "message"),
    [
        ("ethanoll", ValueError, "did you mean 'ethanol'"),
        ("gold", ValueError, "expected one of ethanol, ethylene"),
        (0, ValueError, "expected a label from 1 to 6, got 0"),
        (7, ValueError, "expected a label from 1 to 6, got 7"),
        (True, TypeError, "got a bool"),
        (1.0, TypeError, "got float"),
        (3, ValueError, "has no measurements of ammonia"),
    ],
)
def test_an_unknown_gas(archive, gas, error, message):
    with pytest.raises(error, match=message):
        datasets.gas_sensor(archive, gas)


@pytest.mark.parametrize("method", ["ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_wrong_bytes_in_an_archive(tmp_path, method):
    """However it is packed, and also where the way it is packed is what is wrong."""
    path = tmp_path / "gas.zip"
    text = "".join(line(1, float(k)) + "\n" for k in range(1, 4))
    with zipfile.ZipFile(path, "w", getattr(zipfile, method)) as archive:
        archive.writestr("Dataset/batch1.dat", text)
    content = path.read_bytes()
    expected, _ = datasets.gas_sensor(path)
    draws, messages = np.random.default_rng(0), []
    for place in draws.integers(len(content), size=200):
        path.write_bytes(content[:place] + bytes([draws.integers(256)]) + content[place + 1 :])
        try:
            inputs, _ = datasets.gas_sensor(path)
        except ValueError as error:
            messages.append(str(error))
        else:  # where nobody looks, as in dates
            np.testing.assert_array_equal(inputs, expected)
    assert len(messages) > 100
    assert all(f"{path}" in message for message in messages)


@pytest.mark.parametrize("path", [3.5, b"gas.zip"])
def test_a_path_of_a_wrong_type(path):
    with pytest.raises(TypeError, match=f"path: expected a str.*got {type(path).__name__}"):
        datasets.gas_sensor(path)


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "first.dat").write_text(BATCHES[1])
    with pytest.raises(ValueError, match="not a complete zip archive"):
        datasets.gas_sensor(tmp_path / "first.dat")


def test_a_download_is_kept_if_all_is_there_that_uci_states(tmp_path, monkeypatch):
    assert (gas._N_BATCHES, gas._N_MEASUREMENTS) == (10, 13_910)
    monkeypatch.setattr(gas, "_N_MEASUREMENTS", 20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ten = {number: line(1, 10.0) + line(3, 7.0) for number in range(1, 11)}
    nine = {**ten, 9: 2 * ten[9]}
    del nine[10]
    with LocalServer() as server:
        monkeypatch.setattr(gas, "ARCHIVE", replace(gas.ARCHIVE, url=f"{server.url}/gas.zip"))
        for batches, found in ((nine, "9 with 20"), ({**ten, 10: line(1, 1.0)}, "10 with 19")):
            path = write_zip(tmp_path / "gas.zip", batches)
            server.files["/gas.zip"] = path.read_bytes()
            with pytest.raises(ValueError, match=f"expected 10 batches with 20.*got {found}"):
                datasets.gas_sensor()
        complete = write_zip(tmp_path / "gas.zip", ten).read_bytes()
        server.files["/gas.zip"] = complete[:-100]
        with pytest.raises(ValueError, match="not the published file"):
            datasets.gas_sensor()
        assert list((tmp_path / "cache").rglob("*.zip")) == []
        server.files["/gas.zip"] = complete
        assert datasets.gas_sensor()[1].shape == (10, 1)
    assert datasets.gas_sensor(gas="ammonia")[1].tolist() == [[7.0]] * 10


@pytest.mark.skipif(GAS_SENSOR is None, reason="PYDLNET_GAS_SENSOR names no archive")
def test_the_published_measurements():
    inputs, outputs = datasets.gas_sensor(GAS_SENSOR)
    assert inputs.shape[1:] == (128,)
    assert outputs.shape == (len(inputs), 1)
    assert len(inputs) <= 2565  # the number in the papers; an archive may hold fewer batches
    assert outputs.min() > 0.0
    # The first measurement of batch 1, which every archive holds.
    assert outputs[0, 0] == 10.0
    assert inputs[0, 0] == 15596.1621
