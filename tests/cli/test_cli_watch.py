"""`pydlnet watch` on runs that go on in processes of their own, also in a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pydlnet as dln
from pydlnet.cli.watch_view import Speed, duration, sparkline

pytest.importorskip("zarr")

SECONDS = 180.0

# A run that commits often and never ends by itself.
WRITER = """
import sys
import numpy as np
import pydlnet as dln
from pydlnet.storage import stores

stores.SECONDS_A_COMMIT = 0.1
dln.run(
    dln.TargetMatrix(np.diag([3.0, 1.0])),
    dln.init.balanced((2, 2, 2), scale=0.1, rng=0),
    dln.GradientDescent(1e-9),
    n_steps=10**15,
    record=dln.Record(["loss", "effective_rank"], every=10**5),
    store=sys.argv[1],
    progress=False,
)
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "run.zarr"


@pytest.fixture
def writer(store):
    """A process that writes the store, once it has committed something."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(store)])
    wait_until(lambda: (store / "pydlnet" / "commit").exists())
    yield process
    process.kill()
    process.wait()


def wait_until(holds):
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


class Terminal:
    """`pydlnet watch` in a terminal of its own."""

    def __init__(self, *arguments, **variables):
        self._master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "300", **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pydlnet", "watch", *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            preexec_fn=lambda: os.login_tty(os.dup(slave)),
        )
        os.close(slave)
        self.text = ""

    def read(self, expected):
        """Read until this has come."""
        end = time.monotonic() + SECONDS
        while expected not in self.text:
            assert time.monotonic() < end, self.text
            self._take(0.1)

    def _take(self, seconds):
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            part = os.read(self._master, 65536)
        except OSError:  # nobody is at the other end
            return False
        self.text += part.decode(errors="replace")
        return bool(part)

    def press_ctrl_c(self):
        os.write(self._master, b"\x03")

    def end(self):
        """Return the exit code."""
        end = time.monotonic() + SECONDS
        while self._take(0.1):
            assert time.monotonic() < end, self.text
        os.close(self._master)
        return self.process.wait(SECONDS)


def test_ctrl_c_leaves_the_terminal_as_it_was_and_the_run_going_on(store, writer):
    terminal = Terminal(store, "--interval", "0.2")
    terminal.read("steps a second, at most")
    terminal.read("records")
    for part in ("running", "of 1,000,000,000,000,000", "effective rank"):
        assert part in terminal.text
    terminal.press_ctrl_c()
    assert terminal.end() == 130
    assert f"left; watch again with: pydlnet watch {store}" in terminal.text.replace("\r\n", "\n")
    assert terminal.text.rfind("\x1b[?25h") > terminal.text.rfind("\x1b[?25l")  # the cursor is back
    assert "Traceback" not in terminal.text
    step = dln.open(store).step
    wait_until(lambda: dln.open(store).step > step)
    assert writer.poll() is None


def test_a_killed_writer_ends_it(store, writer):
    terminal = Terminal(store, "--interval", "0.2")
    terminal.read("running")
    writer.kill()
    writer.wait()
    assert terminal.end() == 1
    assert "killed: nobody writes it any more" in terminal.text


def test_what_is_no_terminal_gets_lines(store, writer):
    watch = subprocess.Popen(
        [sys.executable, "-m", "pydlnet", "watch", str(store), "--interval", "0.2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [watch.stdout.readline() for _ in range(3)]
    assert "\x1b" not in "".join(lines)
    steps = [int(re.match(r"step ([\d,]+) of", line)[1].replace(",", "")) for line in lines]
    assert steps == sorted(set(steps))
    writer.send_signal(signal.SIGINT)
    rest, _ = watch.communicate(timeout=SECONDS)
    assert rest.splitlines()[-1].endswith("interrupted; the same call goes on")
    assert watch.returncode == 1


def test_a_reader_that_goes_away_ends_it(store, writer):
    watch = subprocess.Popen(
        [sys.executable, "-m", "pydlnet", "watch", str(store), "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watch.stdout.readline()
    watch.stdout.close()
    assert watch.wait(SECONDS) == 0
    assert watch.stderr.read() == b""
    watch.stderr.close()


def test_it_waits_for_a_store(store):
    terminal = Terminal(store, "--interval", "0.2")
    terminal.read("waiting for a run to begin")
    small_run(store)
    assert terminal.end() == 0
    assert "finished: all steps are taken" in terminal.text


def small_run(store, rate=0.1, **others):
    return dln.run(
        dln.TargetMatrix(np.diag([3.0, 1.0])),
        dln.init.balanced((2, 2, 2), scale=0.1, rng=0),
        dln.GradientDescent(rate),
        n_steps=200,
        store=store,
        **others,
    )


def test_runs_that_are_over(call, store):
    small_run(store)
    code, out, err = call("watch", store)
    assert (code, err) == (0, "")
    assert out.startswith("step 200 of 200, loss ")
    assert out.endswith("finished: all steps are taken\n")
    saved = store.with_name("saved.nc")
    small_run(None, rate=3.0).save(saved)
    code, out, _ = call("watch", saved)
    assert code == 1
    assert out.endswith("diverged: the loss is not finite\n")


def test_a_flow(call, store):
    dln.run(
        dln.TargetMatrix(np.diag([3.0, 1.0])),
        dln.init.balanced((2, 2, 2), scale=0.1, rng=0),
        dln.GradientFlow(),
        until=2.5,
        record=dln.Record(["singular_values"]),
        store=store,
    )
    assert call("watch", store)[1].startswith("time 2.5 of 2.5, effective rank ")


def test_what_is_refused(call, store, tmp_path):
    assert call("watch", "nothing.nc")[::2] == (
        2,
        "error: no file 'nothing.nc'; the name of a store ends in .zarr\n",
    )
    assert "no folder" in call("watch", "nowhere/run.zarr")[2]
    code, _, err = call("watch", store, "--wait", "0.2")
    assert code == 2
    assert "no run has committed anything to" in err
    assert call("watch", store, "--interval", "inf")[0] == 2
    small_run(store)
    commit = store / "pydlnet" / "commit"
    content = bytearray(commit.read_bytes())
    content[-20] ^= 1
    commit.write_bytes(content)
    code, _, err = call("watch", store)
    assert code == 2
    assert "is damaged" in err


def test_a_folder_is_no_store(call, tmp_path):
    code, _, err = call("watch", tmp_path)
    assert code == 2
    assert err == f"error: a folder {str(tmp_path)!r}; the name of a store ends in .zarr\n"


def test_a_store_that_vanishes_ends_it(store, writer):
    terminal = Terminal(store, "--interval", "0.2")
    terminal.read("running")
    writer.send_signal(signal.SIGSTOP)  # it would notice
    store.rename(store.with_name("gone"))
    assert terminal.end() == 2
    assert f"error: the run in {store} is gone" in terminal.text
    assert "Traceback" not in terminal.text


# -- What is shown --


def test_a_narrow_terminal_has_a_line_for_each_fact(store):
    small_run(store, record=dln.Record(["loss", "effective_rank"]))
    terminal = Terminal(store, COLUMNS="24")
    assert terminal.end() == 0
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.text).split("\r\n")
    for expected in ("step 200 of 200", r"loss \S+", r"effective rank \S+", "[▁-█]{24}"):
        assert any(re.fullmatch(expected, line.strip()) for line in lines), lines


def test_a_speed_that_is_not_known(call, store):
    dln.run(
        dln.TargetMatrix(np.eye(2)),
        [np.eye(2)],
        dln.GradientDescent(0.1),
        n_steps=0,
        store=store,
    )
    assert ", speed not known, finished" in call("watch", store)[1]


def test_the_speed_is_that_of_the_last_commits():
    speed = Speed()
    assert np.isnan(speed.add(0.0, 0.0))
    assert speed.add(100.0, 1.0) == 100.0
    assert speed.add(700.0, 3.0) == pytest.approx(700.0 / 3.0)
    for k in range(20):
        last = speed.add(1000.0 + 50.0 * k, 10.0 + k)
    assert last == 50.0
    assert speed.add(10.0, 0.5) == 20.0  # it has begun anew


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (42.0, "42 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min"), (86400.0, "1 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sparklines():
    assert sparkline([1.0, 10.0, 100.0], 10) == "▁▅█"
    assert sparkline([1.0, np.nan, np.inf, 0.0], 10) == "█  ▁"
    assert sparkline([-1.7e308, 1.7e308], 10) == "▁█"
    assert sparkline(np.geomspace(1.0, 1e9, 1000), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([2.0, 2.0], 10, is_plain=True) == "__"
    assert sparkline([], 10) == sparkline([1.0], 0) == ""
