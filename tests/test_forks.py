"""Forked processes: a run does not go on in them, a new one works, and they end as they should.

Every script forks in a process of its own, bounded by a time-out, and waits for its child.
"""

import pytest

PREAMBLE = """
import os, signal, sys, threading, time
import numpy as np
import pydlnet as dln
from pydlnet import _core, ensembles, interruption, simulate

simulate.as_threads = lambda n: n  # also where the machine has fewer processors

problem = dln.TargetMatrix(np.random.default_rng(1).standard_normal((150, 150)))
small = dln.TargetMatrix(np.diag([2.0, 1.0, 0.5]))
weights = dln.init.gaussian((150, 150, 150), std=0.05, rng=0)
start = dln.init.balanced((3, 3, 3), scale=0.1, rng=0)
method = dln.GradientDescent(1e-3)
flow = dln.GradientFlow()

def steps(record=None, problem=problem, **more):
    more = {"n_steps": 6, "threads": 2, **more}
    return dln.run(problem, weights, method, record=record, **more)

def ensemble(record=None, problem=small, **more):
    rates = [dln.GradientDescent(rate) for rate in (0.01, 0.02, 0.03)]
    return dln.run_ensemble(
        problem, start, rates, n_steps=6, record=record, threads=2, **more
    )

def bits(trajectory):
    layers = trajectory.weights
    layers = layers if isinstance(layers[0], np.ndarray) else sum(layers, [])
    return b"".join(np.ascontiguousarray(layer).tobytes() for layer in layers)

children = []

def fork_once():
    # The child's process id is noted in the parent.
    if not children:
        children.append(os.fork())
    return children[0]

def ended_well(pid):
    for _ in range(2000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"
"""


def forked(isolated, code):
    result = isolated(PREAMBLE + code, timeout=100)
    assert result.returncode == 0, result.stderr
    return result.stdout


RUNS = {
    "steps": "lambda hook: steps(dln.Record(['loss', {'hook': hook}], every=2))",
    "condition": """lambda hook: steps(
        stop=dln.Stop(condition=lambda layers: hook(layers) < 0, check_every=2))""",
    "loss": """lambda hook: steps(problem=dln.EndToEndLoss(
        lambda w: (float(np.sum(w * w)) + 0 * hook(w), 2 * w), (150, 150)))""",
    "flow": """lambda hook: dln.run(problem, weights, flow, until=3e-4, threads=2,
        record=dln.Record(['loss', {'hook': hook}], times=[0.0, 1e-4, 2e-4]))""",
    "ensemble": "lambda hook: ensemble(dln.Record(['loss', {'hook': hook}], every=2))",
    "ensemble, loss": """lambda hook: ensemble(problem=dln.EndToEndLoss(
        lambda w: (float(np.sum(w * w)) + 0 * hook(w), 2 * w), (3, 3)))""",
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_does_not_go_on_in_a_child_forked_in_it(isolated, run):
    code = f"""
run = {run}
calls = []

def hook(_):
    calls.append(1)
    if len(calls) == 2:
        fork_once()
    return 1.0

try:
    trajectory = run(hook)
except RuntimeError as error:
    assert children == [0], error
    expected = f"begun in process {{os.getppid()}}, which has the threads"
    sys.exit(7 if expected in str(error) else f"{{error}}")
assert ended_well(children[0]) == 7
calls = [1, 1]
assert bits(run(hook)) == bits(trajectory)  # which the fork has not changed
"""
    forked(isolated, code)


@pytest.mark.parametrize("run", ["steps", "flow", "ensemble"])
def test_a_new_run_works_in_a_child_forked_in_a_run(isolated, run):
    code = f"""
run = {RUNS[run]}
expected = bits(run(lambda _: 0.0))

for leave in (lambda: os._exit(7), lambda: sys.exit(7)):
    children.clear()

    def hook(_):
        if not children and fork_once() == 0:
            for _ in range(3):
                assert bits(run(lambda _: 0.0)) == expected
            leave()
        return 0.0

    assert bits(run(hook)) == expected
    assert ended_well(children[0]) == 7
"""
    forked(isolated, code)


def test_threads_of_a_new_run_are_not_mistaken_for_those_left_behind(isolated):
    # A thread of the child may get the place in memory of one that was left behind, which the end
    # of the run that was left must not touch: the new one has to be alive beyond it.
    code = """
trajectories = []
later = [threading.Thread(target=lambda: trajectories.append(steps(n_steps=60))) for _ in range(3)]

def hook(_):
    if not children and fork_once() == 0:
        for thread in later:
            thread.start()
        time.sleep(0.1)
        raise KeyError
    return 0.0

try:
    steps(dln.Record(["loss", {"hook": hook}], every=2))
except KeyError:
    for thread in later:
        thread.join()
    expected = bits(steps(n_steps=60, threads=1))
    assert [bits(trajectory) for trajectory in trajectories] == [expected] * 3
    sys.exit(7)
assert ended_well(children[0]) == 7
"""
    forked(isolated, code)


OTHER_THREAD = """
endless = threading.Thread(
    target=lambda: steps(n_steps=10**12, stop=dln.Stop(seconds=60)), daemon=True
)
"""


def test_a_new_run_works_in_a_child_forked_beside_a_run(isolated):
    code = f"""{OTHER_THREAD}
expected = bits(steps())
endless.start()
time.sleep(0.3)
for leave in (os._exit, sys.exit):
    children.clear()
    if fork_once() == 0:
        assert interruption._active_runs._threads == []
        assert bits(steps()) == expected and bits(steps(threads=1)) == expected
        leave(7)
    assert ended_well(children[0]) == 7
"""
    forked(isolated, code)


def test_a_child_forked_while_a_thread_loads_the_package_can_use_it(isolated):
    # The child has no thread that would finish loading the modules that are locked by then.
    code = """
import os, signal, sys, threading, time
import pydlnet as dln

threading.Thread(target=lambda: dln.run).start()
while "pydlnet.simulate" not in sys.modules:
    time.sleep(0.001)
assert "run" not in vars(dln)  # it is being loaded
if os.fork() == 0:
    signal.alarm(30)
    run = dln.run
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
"""
    result = isolated(code, "-W", "ignore", timeout=100)
    assert result.returncode == 0, result.stderr


def test_ctrl_c_ends_a_child_forked_beside_a_run_of_the_main_thread(isolated):
    code = """
def fork_beside():
    time.sleep(0.3)
    if fork_once() == 0:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)
        except KeyboardInterrupt:
            os._exit(7)
        os._exit(1)
    print(ended_well(children[0]))

beside = threading.Thread(target=fork_beside)
beside.start()
steps(n_steps=10**12, stop=dln.Stop(seconds=1.5))
beside.join()
"""
    assert forked(isolated, code) == "7\n"


def test_a_run_in_a_forked_child_hears_ctrl_c(isolated):
    code = """
steps()
if fork_once() == 0:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    trajectory = steps(n_steps=10**12)
    sys.exit(7 if trajectory.status == "interrupted" else 1)
assert ended_well(children[0]) == 7
"""
    forked(isolated, code)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_give_the_same_bits(tmp_path, isolated, method):
    script = tmp_path / "script.py"
    script.write_text(f"""{PREAMBLE}
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def work(threads):
    simulate.as_threads = lambda n: n
    return bits(steps(threads=threads)), bits(ensemble())
{OTHER_THREAD}
if __name__ == "__main__":
    expected = work(1)
    endless.start()
    time.sleep(0.2)
    context = multiprocessing.get_context({method!r})
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(work, [1, 2, 2, 1], timeout=60)) == [expected] * 4
    print("same")
""")
    result = isolated(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert result.stdout == "same\n", result.stderr


def test_runs_in_threads_of_one_process_give_the_same_bits(isolated):
    code = """
from concurrent.futures import ThreadPoolExecutor

expected = [bits(run()) for run in (steps, ensemble)]
with ThreadPoolExecutor(6) as pool:
    results = list(pool.map(lambda k: bits((steps, ensemble)[k % 2]()), range(24)))
assert results == expected * 12
"""
    forked(isolated, code)
