"""`datasets.ratings`: tables as users have them, and the problems that they make."""

import bz2
import contextlib
import gzip
import lzma

import numpy as np
import pandas as pd
import pytest
from small_ratings import EXPECTED, LINES, TABLE, entries

import pydlnet as dln
from pydlnet import datasets


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file and reads ratings from it."""

    def make(content, **options):
        path = tmp_path / "r.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return datasets.ratings(path, **options)

    return make


def test_names_become_places_and_are_kept(read):
    rated = read("\n".join(LINES))
    assert rated.shape == (3, 3)
    assert rated.user_ids.tolist() == ["ann", "bob", "eve"]
    assert rated.item_ids.tolist() == [7, 9, 11]  # by size: 11 is after 9
    assert rated.users.tolist() == [1, 0, 1, 2]
    assert rated.items.tolist() == [0, 0, 1, 2]
    assert rated.values.tolist() == [1.0, 5.0, 4.5, 2.0]
    assert entries(rated) == EXPECTED
    assert (rated.row("bob"), rated.column(9), rated.column(np.int64(11))) == (1, 1, 2)
    assert repr(rated) == "Ratings(4 values from 1 to 5, 3 users, 3 items)"
    assert len(rated) == 4
    with pytest.raises(ValueError, match="read-only"):
        rated.values[0] = 2.0


@pytest.mark.parametrize("name", ["zoe", 7, 1.0, None])
def test_an_unknown_name(read, name):
    with pytest.raises(KeyError, match=r"user: no .* among 3 names, which are text"):
        read("\n".join(LINES)).row(name)
    with pytest.raises(KeyError, match=r"item: no .* among 3 names, which are integers"):
        read("\n".join(LINES)).column("7")


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES) + "\n",
        "\r\n".join(LINES),
        "\r".join(LINES),
        "\ufeff" + "\n".join(LINES),
        "\n" + "\n\n".join(LINES) + "\n  \n",
        "\n".join(LINES).replace(",", ";"),
        "\n".join(LINES).replace(",", "\t"),
        "\n".join(LINES).replace(",", "|"),
        "\n".join(LINES).replace(",", "::"),
        "\n".join(LINES).replace(",", " , "),
        "\n".join('"' + line.replace(",", '","') + '"' for line in LINES),
        "user,item,value\n" + "\n".join(LINES),
        "\ufeffuser;item;value\r\n" + "\r\n".join(LINES).replace(",", ";"),
        "user,item,value,time\n" + "\n".join(f"{line},88{k}" for k, line in enumerate(LINES)),
    ],
)
def test_ways_to_write_the_same_table(read, content):
    assert entries(read(content)) == EXPECTED


def test_columns_by_name_and_by_position(read):
    lines = [f"{k},{','.join(reversed(line.split(',')))}" for k, line in enumerate(LINES)]
    content = "n,stars,what,who\n" + "\n".join(lines)
    assert entries(read(content, user="who", item="what", value="stars")) == EXPECTED
    assert entries(read(content, user=3, item=2, value="stars")) == EXPECTED
    assert entries(read("\n".join(lines), user=3, item=2, value=1)) == EXPECTED


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_text(read, pack):
    content = pack("\n".join(LINES).encode())
    assert entries(read(content)) == EXPECTED
    with pytest.raises(ValueError, match=r"path: cannot unpack .*r\.csv"):
        read(content[:-9])


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (["7", "11", "-3"], [-3, 7, 11]),
        (["7", "11", "007"], ["007", "11", "7"]),
        (["7", "11", "+3"], ["+3", "11", "7"]),
        (["7", "11", "1e3"], ["11", "1e3", "7"]),
        (["0", str(2**63 - 1), str(-(2**63))], [-(2**63), 0, 2**63 - 1]),
        (["0", str(2**63), "1"], ["0", "1", str(2**63)]),
        (["0", "9" * 5000, "1"], ["0", "1", "9" * 5000]),
        (["Ünal", "李", "NA"], ["NA", "Ünal", "李"]),
        (["\u0663", "3", "1"], ["1", "3", "\u0663"]),  # a digit that is none of ASCII's
    ],
)
def test_what_is_an_integer(read, users, expected):
    rated = read("\n".join(f"{user},x,{k}" for k, user in enumerate(users)))
    assert rated.user_ids.tolist() == expected
    assert [rated.user_ids[i] for i in rated.users] == [type(expected[0])(user) for user in users]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bob,8", "line 3: expected 3 fields as in the first line, got 2"),
        ("bob,8,3,4", "line 3: expected 3 fields as in the first line, got 4"),
        ("bob,8,", "line 3: expected a number, got nothing"),
        ("bob,8,nan", "line 3: expected a finite number, got a missing value"),
        ("bob,8,NaN", "line 3: expected a finite number, got a missing value"),
        ("bob,8,-inf", "line 3: expected a finite number, got -inf"),
        ("bob,8,1e999", "line 3: expected a finite number, got inf"),
        ("bob,8,good", "line 3: expected a number, got 'good'"),
        ("bob,8,1_0", "line 3: expected a number, got '1_0'"),
        ('"b\nb",8,4\nb,8,x', "line 5: expected a number, got 'x'"),
        ('bob,8,"4,5"', "line 3: expected a number, got '4,5'; give decimal=','"),
        ("bob,8,****", r"line 3: expected a number, got '\*{4}'$"),
        (",8,3", "line 3: expected a name of the user, got none"),
        ("bob, ,3", "line 3: expected a name of the item, got none"),
        (
            "bob,7,3",
            "line 3: user bob and item 7 occur again after line 1; datasets.ratings takes "
            "duplicates='first'",
        ),
        ('"bob,8,3', "line 3: unexpected end of data"),
        ('bob,"8"x,3', "line 3: ',' expected after '\"'"),
        ("bob,8,3\0", "line 3: expected text, got a zero byte"),
        (b"b\xf6b,8,3", "line 3: expected UTF-8: invalid start byte; give .* encoding='cp1252'"),
    ],
)
def test_a_malformed_line_is_named(read, line, message):
    rest = ["", *LINES[2:]] if line == "bob,7,3" else LINES[2:]
    encoded = line if isinstance(line, bytes) else line.encode()
    content = "\n".join(LINES[:2]).encode() + b"\n" + encoded + b"\n" + "\n".join(rest).encode()
    with pytest.raises(ValueError, match=rf"^path: .*r\.csv, {message}") as caught:
        read(content)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "r.csv is empty"),
        ("\n \n", "r.csv is empty"),
        ("\ufeff", "r.csv is empty"),
        ("user,item,value\n", "no line but the names of the columns"),
        ("1 2 3\n", "at least three fields separated by one of commas, semicolons, tabs"),
        ("1,2\n3,4\n", "at least three fields"),
        ("a;b,c;d,e\n", "give it as separator="),
        ("1,2,x\n3,4,5\n", "line 1: expected names of columns or a number"),
        ("1,2,\n3,4,5\n", "line 1: expected a number, got nothing"),
        ("when,who,what\n7,bob,x\n", "line 2: expected a number, got 'x'; value= says in which"),
        ("1,2,3\x004\n", "zero byte"),
        ("user,item,value".encode("utf-16"), "line 1: expected UTF-8"),
        ("a,b," + 200_000 * "9", "line 1: field larger than field limit"),
        (b"PAR1", "cannot read"),
        (b"PK\x03\x04,,\n", "zip archive or a workbook"),
    ],
)
def test_a_file_of_something_else(read, content, message):
    with pytest.raises(ValueError, match=f"^path: .*{message}"):
        read(content)


def test_a_separator_that_is_not_clear_can_be_given(read):
    assert entries(read("a;b,c;d,4\n", separator=",")) == {("a;b", "c;d"): 4.0}
    assert entries(read("1 2 3", separator=" ")) == {(1, 2): 3.0}
    assert entries(read("a--b--3\nc--d--4", separator="--")) == {("a", "b"): 3.0, ("c", "d"): 4.0}


@pytest.mark.parametrize(
    ("rule", "expected"), [("first", 1.0), ("last", 6.0), ("mean", (1.0 + 3.0 + 6.0) / 3)]
)
def test_rules_for_pairs_that_occur_again(read, rule, expected):
    rated = read("\n".join([*LINES, "bob,7,3", "bob,7,6"]), duplicates=rule)
    assert entries(rated) == {**EXPECTED, ("bob", 7): expected}
    assert rated.users.tolist() == [1, 0, 1, 2]  # every pair where it came first


def test_a_mean_that_is_no_number(read):
    with pytest.raises(ValueError, match="value: expected finite numbers"):
        read("a,b,1e308\na,b,1e308", duplicates="mean")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"user": "whom"}, ValueError, r"user: no column 'whom' .*; did you mean 'who'\?"),
        ({"user": "twice"}, ValueError, "user: more than one column 'twice'"),
        ({"value": 5}, ValueError, r"value: expected a column from 0 to 4 of .*, got 5"),
        ({"user": 1}, ValueError, r"user, item, value: expected three different columns"),
        ({"user": -1}, ValueError, "user: expected an integer >= 0"),
        ({"user": 1.0}, TypeError, "user: expected the position or the name of a column"),
        ({"item": True}, TypeError, "item: expected the position or the name"),
        ({"separator": 3}, TypeError, "separator: expected a str or None, got int"),
        ({"separator": ""}, ValueError, "separator: expected text"),
        ({"separator": '"'}, ValueError, "separator: expected text"),
        ({"separator": "\n"}, ValueError, "separator: expected text"),
        ({"duplicates": "sum"}, ValueError, "duplicates: expected one of"),
        ({"decimal": "/"}, ValueError, "decimal: expected one of"),
        ({"decimal": ","}, None, None),
        ({"encoding": 3}, TypeError, "encoding: expected a str, got int"),
        ({"encoding": "none"}, ValueError, "encoding: expected that of a text, .* got 'none'"),
        ({"encoding": "hex"}, ValueError, "encoding: expected that of a text, .* got 'hex'"),
        ({"encoding": "ascii"}, None, None),
    ],
)
def test_wrong_arguments(read, options, error, message):
    content = "who,what,stars,twice,twice\nbob,7,1,0,0\n"
    with contextlib.nullcontext() if error is None else pytest.raises(error, match=message):
        read(content, **options)


EUROPEAN = "Nutzerin;Film;Sterne\nZoë;Der Bär;3,5\n bob;M;4\nbob;Der Bär;1,0\n"


@pytest.mark.parametrize("encoding", ["utf-8", "UTF_8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_decimal_commas_and_other_encodings(read, encoding):
    rated = read(EUROPEAN.encode(encoding), decimal=",", encoding=encoding)
    assert entries(rated) == {("Zoë", "Der Bär"): 3.5, ("bob", "M"): 4.0, ("bob", "Der Bär"): 1.0}


def test_a_mark_at_the_start_of_a_file_is_no_letter(read):
    assert list(read(b"\xef\xbb\xbfa,b,3", encoding="U8").user_ids) == ["a"]


@pytest.mark.parametrize("encoding", ["none", "undefined", "a\0", "hex"])
def test_what_is_no_encoding(read, encoding):
    with pytest.raises(ValueError, match=r"^encoding: expected that of a text"):
        read("a,b,3", encoding=encoding)


def test_a_point_where_decimals_have_a_comma(read):
    with pytest.raises(ValueError, match=r"line 3: expected a number, got '1\.000,5'$"):
        read("a;b;3,5\n\na;c;1.000,5", decimal=",")
    with pytest.raises(ValueError, match=r"line 2: expected a number, got '1\.5'; .* decimal='\.'"):
        read("a;b;3,5\na;c;1.5", decimal=",")
    with pytest.raises(ValueError, match=r"line 1: .* got '3,5'; give decimal=','"):
        read("1;2;3,5\n2;3;1,0")
    with pytest.raises(ValueError, match=r"line 1: expected cp1252: .*; give the encoding"):
        read(b"a,\x81,3", encoding="cp1252")


@pytest.mark.parametrize("given", [{"decimal": ","}, {"encoding": "cp1252"}, {"separator": ";"}])
def test_what_says_how_text_is_read_is_for_text_alone(tmp_path, given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}: expected none for a DataFrame"):
        datasets.ratings(TABLE, **given)
    TABLE.to_parquet(tmp_path / "r.parquet")
    with pytest.raises(ValueError, match=f"{next(iter(given))}: expected none for a Parquet file"):
        datasets.ratings(tmp_path / "r.parquet", **given)


def test_the_nearest_name(read):
    rated = read("anne,Alien,3\nbob,Brazil,4")
    with pytest.raises(KeyError, match=r"no 'ann' among 2 names, .*; did you mean 'anne'\?"):
        rated.row("ann")
    many = read("\n".join(f"u{k},x,1" for k in range(10_001)))
    with pytest.raises(KeyError, match=r"which are text.$"):
        many.row("u10001x")


def test_the_numbers_of_the_rows_are_no_users(read, tmp_path):
    named = {"user": "who", "item": "what", "value": "stars"}
    content = TABLE.to_csv()
    for table in (content, "\ufeff" + content.replace(",who", '"",who', 1)):
        with pytest.raises(ValueError, match=r"user: column 0 .* has no name.*by name"):
            read(table)
        assert entries(read(table, **named)) == EXPECTED
    frame = pd.read_csv(tmp_path / "r.csv")
    with pytest.raises(ValueError, match="user: column 0 of the DataFrame has no name"):
        datasets.ratings(frame)
    assert entries(datasets.ratings(frame, **named)) == EXPECTED


@pytest.mark.parametrize("path", [3.5, None, b"r.csv", TABLE["who"]])
def test_a_path_of_a_wrong_type(path):
    with pytest.raises(TypeError, match="path: expected a path, a DataFrame or a table"):
        datasets.ratings(path)


def test_a_path_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path: .*none at .*no\.csv"):
        datasets.ratings(tmp_path / "no.csv")
    with pytest.raises(FileNotFoundError, match="path: expected a file, got the folder"):
        datasets.ratings(tmp_path)


def test_the_problem_of_completion(read):
    lines = [f"{u},{i},{10 * u + i}" for u in range(6) for i in range(5) if (u + i) % 3]
    rated = read("\n".join(lines))
    problem = rated.completion(held_out=0.25, rng=3)
    assert problem.shape == (6, 5)
    seen = dict(zip(zip(problem.rows, problem.columns, strict=True), problem.values, strict=True))
    rest = dict(zip(zip(*problem.held_out[:2], strict=True), problem.held_out[2], strict=True))
    assert len(rest) == 5  # a quarter of 20
    assert not set(seen) & set(rest)
    assert {**seen, **rest} == {(u, i): 10.0 * u + i for (u, i) in [*seen, *rest]}
    assert len({**seen, **rest}) == len(rated) == 20
    again = rated.completion(held_out=5, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(again.held_out[0], problem.held_out[0])
    other = rated.completion(held_out=0.25, rng=4)
    assert set(zip(*other.held_out[:2], strict=True)) != set(rest)
    assert rated.completion(held_out=0.0).held_out is None
    assert rated.completion(held_out=0, reduction="sum").reduction == "sum"


def test_every_rating_is_held_out_equally_often(read):
    rated = read("\n".join(f"u{k},x,{k}" for k in range(10)))
    draws = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([rated.split(0.3, draws)[1] for _ in range(1000)]))
    # Binomial with mean 300 and deviation 14.5; four deviations either way.
    assert counts.size == 10
    assert abs(counts - 300).max() < 58


@pytest.mark.parametrize(
    ("held_out", "error", "message"),
    [
        (1.0, ValueError, r"held_out: expected a finite number >= 0 and < 1"),
        (-0.1, ValueError, "held_out: expected"),
        (float("nan"), ValueError, "held_out: expected"),
        (4, ValueError, "held_out: expected to leave one of 4 ratings, got 4"),
        (-1, ValueError, "held_out: expected an integer >= 0"),
        (True, TypeError, "held_out: expected a fraction or a number, got bool"),
        ("0.2", TypeError, "held_out: expected a fraction or a number, got str"),
    ],
)
def test_wrong_numbers_to_hold_out(read, held_out, error, message):
    with pytest.raises(error, match=message):
        read("\n".join(LINES)).completion(held_out=held_out)


def test_one_rating_only(read):
    rated = read("ann,film,3")
    assert rated.shape == (1, 1)
    assert rated.completion(held_out=0).values.tolist() == [3.0]
    with pytest.raises(ValueError, match="held_out: expected to leave one of 1 ratings"):
        rated.completion(held_out=0.2)
    two = read("ann,film,3\nann,other,4")
    assert two.completion(held_out=0.9, rng=0).n_samples == 1
    assert two.completion(held_out=0.01, rng=0).held_out[2].size == 1


def test_ratings_run(read):
    lines = [f"u{u},i{i},{1.0 + u % 2}" for u in range(8) for i in range(6)]
    problem = read("\n".join(lines)).completion(rng=0)
    start = dln.init.gaussian((6, 8, 8), 0.01, rng=0)
    record = dln.Record(["held_out_error"])
    trajectory = dln.run(problem, start, dln.GradientDescent(1.0), n_steps=5000, record=record)
    assert trajectory.data["held_out_error"][-1] < 0.05
