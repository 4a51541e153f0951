"""Markdown of what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .timing import Timing

OWN = "pydlnet"


def significant(value: float) -> str:
    """Write three significant digits without an exponent, as far as that is readable."""
    if value == 0 or not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    text = f"{float(f'{value:.3g}'):f}"
    return text.rstrip("0").rstrip(".")


def ratio(value: float) -> str:
    """Write a ratio with two digits after the point where they matter."""
    return f"{value:.2f}x" if value < 10 else f"{significant(value)}x"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def paragraphs(*parts: str) -> str:
    """Join what is not empty."""
    return "\n\n".join(part for part in parts if part)


@dataclass
class Comparison:
    """Times of the same work by several contenders, one column for each case."""

    corner: str  # what the columns are
    unit: str = "us"
    own: str = OWN
    times: dict[str, dict[str, Timing]] = field(default_factory=dict)  # case -> contender
    setting_up: dict[str, Timing] = field(default_factory=dict)  # case -> own time for no steps
    shares: dict[str, float] = field(default_factory=dict)  # case -> share of the peak
    missing: dict[str, str] = field(default_factory=dict)  # contender -> why

    def add(
        self,
        case: str,
        times: Mapping[str, Timing],
        missing: Mapping[str, str],
        setting_up: Timing | None = None,
        share: float | None = None,
    ) -> None:
        """Add a column."""
        self.times[case] = dict(times)
        self.missing.update(missing)
        if setting_up is not None:
            self.setting_up[case] = setting_up
        if share is not None:
            self.shares[case] = share

    def render(self) -> str:
        """Return the table, who won, what is missing, and the spread."""
        header = [self.corner, *self.times]
        return paragraphs(
            table(header, self._rows()), self._losses(), self._missing(), self._spread(header)
        )

    def best_peer(self, case: str) -> tuple[str, float] | None:
        """Return the fastest of the others, and its time over one's own."""
        others = {name: time for name, time in self.times[case].items() if name != self.own}
        if not others:
            return None
        name = min(others, key=lambda other: others[other].median)
        return name, others[name].median / self.times[case][self.own].median

    def _contenders(self) -> list[str]:
        return list(dict.fromkeys(name for times in self.times.values() for name in times))

    def _rows(self) -> list[list[str]]:
        rows = [
            [f"{name}, {self.unit}", *(self._cell(case, name) for case in self.times)]
            for name in self._contenders()
        ]
        rows.append(["**best peer**", *(self._best(case) for case in self.times)])
        if self.shares:
            shares = (self.shares.get(case) for case in self.times)
            percent = (f"{100 * share:.0f} %" if share is not None else "" for share in shares)
            rows.append([f"**{self.own}, share of the peak**", *percent])
        if self.setting_up:
            times = (self.setting_up.get(case) for case in self.times)
            cells = (self._number(time.median) if time else "" for time in times)
            rows.append([f"{self.own}, setting up a run, {self.unit}", *cells])
        return rows

    def _number(self, seconds: float) -> str:
        return significant(seconds * {"us": 1e6, "ms": 1e3, "s": 1.0}[self.unit])

    def _cell(self, case: str, name: str) -> str:
        time = self.times[case].get(name)
        if time is None:
            return ""
        number = self._number(time.median)
        if name == self.own:
            return f"**{number}**"
        return f"{number} ({ratio(time.median / self.times[case][self.own].median)})"

    def _best(self, case: str) -> str:
        best = self.best_peer(case)
        return "none" if best is None else f"**{ratio(best[1])}** {best[0]}"

    def _losses(self) -> str:
        lost = [
            f"{self.corner.partition(',')[0]} {case} ({name} takes {ratio(value)} the time)"
            for case in self.times
            for name, value in [self.best_peer(case) or ("", 1.0)]
            if value < 1
        ]
        if lost:
            return f"A peer is faster than {self.own} at: {', '.join(lost)}."
        return f"No peer is faster than {self.own} here."

    def _missing(self) -> str:
        if not self.missing:
            return ""
        said = "; ".join(f"{name}: {why}" for name, why in self.missing.items())
        return f"Not timed: {said}."

    def _spread(self, header: list[str]) -> str:
        rows = [
            [name, *(self._quartiles(case, name) for case in self.times)]
            for name in self._contenders()
        ]
        return (
            f"<details><summary>Quartiles, {self.unit}</summary>\n\n{table(header, rows)}\n\n"
            "</details>"
        )

    def _quartiles(self, case: str, name: str) -> str:
        time = self.times[case].get(name)
        if time is None:
            return ""
        low, high = time.quartiles
        return f"{self._number(low)} to {self._number(high)}"
