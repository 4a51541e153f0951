"""The README and the examples: what is printed there is what comes out."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pydlnet as dln

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "completion.py"


def blocks(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readme_shows_the_example():
    code, *_ = blocks("python")
    assert EXAMPLE.read_text().endswith(f'"""\n\n{code}')
    lines = [line for line in code.splitlines() if line and not line.startswith("import")]
    assert len(lines) == 10


def test_the_example_prints_what_the_readme_says(tmp_path):
    result = subprocess.run(
        [sys.executable, str(EXAMPLE)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    (expected,) = blocks("text")
    # Other instruction sets and later versions of pandas may differ in spaces, not in numbers.
    assert result.stdout.split() == expected.split()
    assert (tmp_path / "completion.png").stat().st_size < 100_000


@pytest.mark.slow
def test_the_photograph_is_recovered_at_depth_2_and_3(tmp_path):
    code = ROOT / "examples" / "photograph.py"
    result = subprocess.run(
        [sys.executable, str(code)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    errors = [float(text) for text in re.findall(r"unseen pixels ([0-9.]+)", result.stdout)]
    assert len(errors) == 3
    assert errors[0] > 0.35  # what was not seen stays black
    assert errors[1] < errors[2] < 0.15
    assert result.stdout.count("converged") == 3
    assert (tmp_path / "photograph.png").stat().st_size > 100_000


def test_the_readme_runs_its_ratings(tmp_path, monkeypatch, capsys):
    (code,) = (block for block in blocks("python") if "datasets.ratings" in block)
    monkeypatch.chdir(tmp_path)
    films, who = ["Alien", "Brazil", "Casablanca"], ["ann", "bob", "cem", "dora"]
    lines = [
        f"{1 + (i + j) % 5};{film};{name}"
        for i, film in enumerate(films)
        for j, name in enumerate(who)
    ]
    Path("ratings.csv").write_text("\n".join(["stars;film;who", *lines]), encoding="utf-8")
    names = {}
    exec(code.replace("5000", "200"), names)
    predicted = names["predicted"]
    assert predicted.shape == (4, 3)
    assert capsys.readouterr().out.endswith(f"{predicted[0, 0]}\n")


def test_the_readme_runs_its_ensemble():
    (code,) = (block for block in blocks("python") if "run_ensemble" in block)
    names = {"np": np, "dln": dln, "target": np.eye(10)}
    exec(code, names)
    assert {"converged", "finished"} <= set(names["ensemble"].status)


def test_the_readme_runs_its_store(tmp_path, monkeypatch):
    *_, code = blocks("python")
    assert "10**8" in code
    monkeypatch.chdir(tmp_path)
    names = {
        "dln": dln,
        "problem": dln.TargetMatrix(np.eye(3)),
        "weights": dln.init.balanced((3, 3, 3), 0.1, rng=0),
        "method": dln.GradientDescent(0.1),
        "record": dln.Record(every=10),
    }
    exec(code.replace("10**8", "100"), names)
    assert dln.open("long.zarr", verify=True).step == names["trajectory"].step == 100


def test_there_is_one_command_each_for_the_demo_and_the_tests():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    prefix = "python3 -m venv .venv && .venv/bin/pip install"
    assert f"{prefix} . && .venv/bin/pydlnet demo" in commands
    assert f'{prefix} ".[test]" && .venv/bin/pytest' in commands
