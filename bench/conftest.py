"""Which cases: all of them where time is measured, small ones where only answers matter."""

from .cases import CASES, QUICK_CASES


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        timed = not metafunc.config.getoption("benchmark_disable")
        metafunc.parametrize("case", CASES if timed else QUICK_CASES, ids=str)
