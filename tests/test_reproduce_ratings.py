"""`pydlnet reproduce low-rank --ratings`: what is read, what is refused, what is measured."""

import numpy as np
import pytest

from pydlnet import datasets, reproduce
from pydlnet.reproduce import completion, mode_paths, movielens, report, sensing
from pydlnet.reproduce.report import Settings

QUIET = Settings(say=lambda line: None)


@pytest.fixture(scope="module")
def ratings_file(tmp_path_factory):
    """Write ratings of 8 items by 12 users whose numbers have gaps."""
    rng = np.random.default_rng(0)
    pairs = [(10 * u + 3, 7 * i + 1) for u in range(12) for i in range(8) if (u + i) % 4]
    order = rng.permutation(len(pairs))
    lines = [f"{pairs[k][0]}\t{pairs[k][1]}\t{rng.integers(1, 6)}\t8812509{k:02}" for k in order]
    path = tmp_path_factory.mktemp("ml-100k") / "u.data"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_few_ratings_are_refused(ratings_file, tmp_path):
    path = tmp_path / "u.data"
    path.write_text("\n".join(ratings_file.read_text().splitlines()[:9]))
    with pytest.raises(ValueError, match=r"^ratings: expected at least 10 ratings, got 9"):
        movielens.part(QUIET, path)


def test_malformed_ratings_are_refused_by_line(ratings_file, tmp_path):
    path = tmp_path / "u.data"
    path.write_text(ratings_file.read_text() + "1\t2\tgood\t4\n")
    with pytest.raises(ValueError, match=r"^ratings: .*u\.data, line 73: expected a number, got"):
        movielens.part(QUIET, path)


def test_ratings_are_split_and_compared_with_means(ratings_file):
    plan = movielens.Plan(4, 1500, 1e-2, 8)
    part = movielens.part(QUIET, ratings_file, plan)
    ratings = datasets.ratings(ratings_file)
    order = np.random.default_rng(QUIET.seed).permutation(72)
    held_out = np.sort(order[:14])  # a fifth of 72
    kept = [k for k in range(72) if k not in set(held_out)]
    mean = np.mean(ratings.values[kept])

    def mean_of(rest, group, which):
        chosen = [r for r, k in zip(rest, kept, strict=True) if group[k] == which]
        return np.mean(chosen) if chosen else 0.0

    rest = [ratings.values[k] - mean for k in kept]
    items = [mean_of(rest, ratings.items, item) for item in range(8)]
    rest = [r - items[ratings.items[k]] for r, k in zip(rest, kept, strict=True)]
    users = [mean_of(rest, ratings.users, user) for user in range(12)]
    truth = ratings.values[held_out]
    by_item = np.array([mean + items[ratings.items[k]] for k in held_out])
    by_both = by_item + [users[ratings.users[k]] for k in held_out]
    for name, guess in (("mean", mean), ("item_mean", by_item), ("bias", by_both)):
        expected = np.mean((truth - guess) ** 2)
        assert float(part.data[f"{name}_error"]) == pytest.approx(expected)
    # From near zero the first prediction is none at all; depth 1 keeps it where nothing was seen.
    errors = part.data["held_out_error"]
    np.testing.assert_allclose(errors.isel(step=0), np.mean(truth**2), rtol=1e-2)
    assert float(errors.sel(depth=2).min()) < 0.5 * np.mean(truth**2)
    assert float(abs(errors.sel(depth=1) / errors.sel(depth=1)[0] - 1.0).max()) < 1e-6
    assert part.data.attrs["shape"] == (12, 8)
    assert "12 users" in part.used


def test_the_option_adds_the_part(ratings_file, tmp_path, monkeypatch):
    tiny = movielens.Plan(4, 30, 1e-2, 5)
    monkeypatch.setattr(movielens, "DEFAULT", tiny)
    for module in (completion, mode_paths, sensing):
        monkeypatch.setattr(module, "part", lambda settings, what: None)
    lines = []
    settings = Settings(ratings=ratings_file, threads=2, say=lines.append)
    (part,) = filter(None, reproduce.EXPERIMENTS["low-rank"].parts(settings))
    assert part.data["singular_value"].dims == ("depth", "step", "mode")
    assert part.data.sizes["depth"] == 3
    # The time is announced before the networks run.
    assert any("30 steps at depth 1, 2, 3, about 0.0 minutes" in line for line in lines)
    report.write(part, tmp_path, settings)
    assert (tmp_path / "movielens.png").stat().st_size > 10_000
    without = reproduce.EXPERIMENTS["low-rank"].parts(Settings())
    assert list(filter(None, without)) == []


def test_a_missing_file_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"ratings: no file .*u\.data"):
        reproduce.low_rank(ratings=tmp_path / "u.data")


def test_a_wrong_file_is_refused_before_anything_runs(tmp_path, monkeypatch):
    wrong = tmp_path / "u.data"
    wrong.write_text("not ratings\n")
    monkeypatch.setattr(mode_paths, "part", lambda *_: pytest.fail("an experiment ran"))
    with pytest.raises(ValueError, match="ratings: "):
        reproduce.low_rank(ratings=wrong, say=lambda line: None)
