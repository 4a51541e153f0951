"""The pages of the documentation: their code runs, and prints what they say."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "_build" not in page.parts and "```python\n" in page.read_text(encoding="utf-8")
)
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, printed = {}, ""
    for language, block in BLOCKS.findall((DOCS / page).read_text(encoding="utf-8")):
        if language == "text":
            assert printed.split() == block.split()
            printed = ""
            continue
        assert not printed, f"{page} does not show what is printed: {printed}"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, page, "exec"), names)
        printed = out.getvalue()
    assert not printed, f"{page} does not show what is printed: {printed}"


def blocks_of(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE
    )


def pydlnet(folder, *arguments):
    """Run the command line, which has to succeed, and return what it prints."""
    command = [sys.executable, "-m", "pydlnet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown_commands(page):
    """Return the arguments of every command of `pydlnet` that the page shows."""
    lines = "".join(blocks_of(page, "sh")).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("pydlnet ")]


def test_the_experiment_file_of_the_start_runs(tmp_path):
    (text,) = blocks_of("start.md", "toml")
    (tmp_path / "experiment.toml").write_text(text)
    commands = [words for words in shown_commands("start.md") if words[0] in ("run", "show")]
    printed = [pydlnet(tmp_path, *arguments) for arguments in commands]
    assert "converged" in printed[-1]
    assert (tmp_path / "experiment.png").exists()


def test_the_sweep_file_of_ratings_runs(tmp_path):
    page = "howto/own_ratings.md"
    table = next(block for block in blocks_of(page, "python") if "csv.writer" in block)
    exec(compile(table.replace('"ratings.csv"', repr(str(tmp_path / "ratings.csv"))), page, "exec"))
    (text,) = blocks_of(page, "toml")
    (tmp_path / "ratings.toml").write_text(text.replace("n_steps = 3000", "n_steps = 200"))
    launched, shown, _ = [pydlnet(tmp_path, *arguments) for arguments in shown_commands(page)]
    assert "12 points: depth 4 x start_rng 3" in launched
    assert "held_out_error" in shown
    assert (tmp_path / "depths.html").stat().st_size > 1_000_000


def test_the_files_of_the_page_about_files_run(tmp_path):
    page = "howto/experiment_file.md"
    experiment, grid = blocks_of(page, "toml")
    (tmp_path / "ratings.csv").write_text(
        "\n".join(f"u{k % 7},f{k % 5},{k % 3 + 1}" for k in range(20))
    )
    (tmp_path / "FILE.toml").write_text(experiment)
    shown = [pydlnet(tmp_path, *arguments) for arguments in shown_commands(page)][-2]
    assert "held_out_error" in shown
    assert (tmp_path / "ratings.png").exists()
    swept = experiment.partition("[output]")[0] + grid
    (tmp_path / "SWEEP.toml").write_text(f'{swept}[output]\npath = "grid"\n')
    assert "6 points" in pydlnet(tmp_path, "sweep", "SWEEP.toml")
