"""Parameters: what a cell declares, which values it lets through, and what it says about the others."""

from __future__ import annotations

import json
import math
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignbook.parameters import Parameter, ParameterError, parse_cell, resolve, resolve_texts
from alignbook.project import own_project
from alignbook.ranges import split_range

CELL = """\
# free comments are allowed
n_max: int = 64  # largest N of best-of-N, >= 1
share: float = 0.5  # a share, in (0, 1]
shift: float = -2  # added to the reward, any
law: str = "gaussian"  # law of the reward, one of gaussian | student t
kl: list[float] = [
    0.5,
    1,
]  # budgets in nats, tried in turn, > 0
names: list[str] = ["a"]  # names, one of a | b
exact: bool = True  # whether to sum exactly
table: str | None = None  # your own table, existing file
note: str | None = "x"  # shown in the caption
"""


@pytest.fixture(name="cell")
def _cell() -> dict[str, Parameter]:
    return parse_cell(CELL)


def text_of(cell: dict[str, Parameter], name: str, text: str, folder: Path = Path()) -> object:
    return resolve_texts(cell, [(name, text)], folder)[name]


def test_declarations(cell: dict[str, Parameter]) -> None:
    assert list(cell) == ["n_max", "share", "shift", "law", "kl", "names", "exact", "table", "note"]
    assert {name: p.type for name, p in cell.items()}["table"] == "str | None"
    assert cell["kl"].default == [0.5, 1.0]
    assert cell["kl"].meaning == "budgets in nats, tried in turn"
    assert cell["kl"].range.text == "> 0"
    assert cell["shift"].default == -2.0
    assert isinstance(cell["shift"].default, float)
    assert cell["share"].range.text == "in (0, 1]"
    assert cell["exact"].meaning == "whether to sum exactly"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n_max", "128", 128),
        ("n_max", "+1", 1),
        ("share", "1", 1.0),
        ("share", "1e-3", 1e-3),
        ("shift", "-7", -7.0),
        ("law", "student t", "student t"),
        ("kl", "0.1,1,10", [0.1, 1.0, 10.0]),
        ("kl", "[0.1, 2]", [0.1, 2.0]),
        ("kl", "3", [3.0]),
        ("names", "a, b", ["a", "b"]),
        ("names", '["b"]', ["b"]),
        ("exact", "False", False),
        ("table", "none", None),
        ("note", "three words here", "three words here"),
    ],
)
def test_texts_become_typed_values(cell: dict[str, Parameter], name: str, text: str, value: object) -> None:
    found = text_of(cell, name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("n_max", "1e-3", "n_max must be an integer; got '1e-3'."),
        ("n_max", "3.0", "n_max must be an integer; got '3.0'."),
        ("n_max", "1e6", "n_max must be an integer; got '1e6'."),
        ("n_max", "true", "n_max must be an integer; got 'true'."),
        ("n_max", "0", "n_max must be >= 1; got 0."),
        ("share", "0", "share must be in (0, 1]; got 0.0."),
        ("share", "1.5", "share must be in (0, 1]; got 1.5."),
        ("share", "half", "share must be a finite number; got 'half'."),
        ("share", "nan", "share must be a finite number; got 'nan'."),
        ("share", "9" * 500, f"share must be a finite number; got '{'9' * 79}."),
        ("shift", "1e999", "shift must be a finite number; got '1e999'."),
        ("law", "gausian", "law must be one of gaussian | student t; got 'gausian'."),
        ("kl", "1,-1", "kl must be > 0; got -1.0."),
        ("kl", "1,,2", "kl must be a list (1,2,3) with at least one element, each a finite number; got ''."),
        ("kl", "[]", "kl must be a list (1,2,3) with at least one element, each a finite number; got []."),
        ("kl", "[1, 2", "kl must be a list (1,2,3) with at least one element, each a finite number; got '[1, 2'."),
        ("kl", "[[1]]", "kl must be a list (1,2,3) with at least one element, each a finite number; got '[1]'."),
        ("exact", "yes", "exact must be true or false; got 'yes'."),
        ("table", "no_such.csv", "table must be the path of an existing file; got 'no_such.csv'."),
        ("n_mx", "3", f"Unknown parameter 'n_mx'; did you mean 'n_max'? Allowed: {', '.join(parse_cell(CELL))}."),
        ("zzz", "3", f"Unknown parameter 'zzz'. Allowed: {', '.join(parse_cell(CELL))}."),
    ],
)
def test_wrong_texts_are_one_sentence(cell: dict[str, Parameter], name: str, text: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        text_of(cell, name, text)
    assert str(caught.value) == said


def test_a_parameter_given_twice_is_refused(cell: dict[str, Parameter]) -> None:
    with pytest.raises(ParameterError, match="n_max is given twice"):
        resolve_texts(cell, [("n_max", "1"), ("n_max", "2")], Path())


def test_paths_start_where_the_caller_stands(cell: dict[str, Parameter], tmp_path: Path) -> None:
    (tmp_path / "rewards.csv").write_text("a")
    assert text_of(cell, "table", "rewards.csv", tmp_path) == str(tmp_path / "rewards.csv")


@pytest.mark.parametrize("value", [True, 3.0, "3", None, [3]])
def test_python_values_are_held_to_their_type(cell: dict[str, Parameter], value: object) -> None:
    with pytest.raises(ParameterError, match=r"^n_max must be an integer; got"):
        resolve(cell, {"n_max": value})


def test_python_values_pass(cell: dict[str, Parameter]) -> None:
    values = resolve(cell, {"n_max": 3, "share": 1, "kl": (1, 2.5), "table": None})
    assert values == {"n_max": 3, "share": 1.0, "kl": [1.0, 2.5], "table": None}
    assert isinstance(values["share"], float)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("n = 1  # a number, >= 0", "may only hold lines such as"),
        ("print(1)", "may only hold lines such as"),
        ("n: int = 1", "needs a comment"),
        ("n: int = 1  # >= 0", "needs a comment"),
        ("n: int = 1  # a number", "needs its allowed range"),
        ("n: int  # a number, >= 0", "needs a default"),
        ("n: int = f(1)  # a number, >= 0", "must be a literal"),
        ("n: int = 1 +  # a number", "is not Python"),
        ("n: int = 1  # a number, >= 2", "n must be >= 2; got 1."),
        ("n: int = 1.0  # a number, >= 0", "n must be an integer; got 1.0."),
        ("n: int = True  # a number, >= 0", "n must be an integer; got True."),
        ("n: complex = 1  # a number, any", "has the type 'complex'"),
        ("n: list = [1]  # numbers, any", "has the type 'list'"),
        ("n: list[int] = [1, -1]  # numbers, >= 0", "n must be >= 0; got -1."),
        ("s: str = None  # a text", "s must be a text; got None."),
        ("s: str = 'c'  # a text, one of a | b", "s must be one of a | b; got 'c'."),
        ("s: str = 'a'  # a text, one of a", "cannot be read"),
        ("s: str = 'a'  # a text, >= 1", "does not fit its type str"),
        ("n: int = 1  # a number, one of 1 | 2", "does not fit its type int"),
        ("n: int = 1  # a number, >= one", "cannot be read"),
        ("n: int = 1  # a number, in [0; 2]", "cannot be read"),
        ("n: int = 1  # a number, in [2, 0]", "is empty"),
        ("x: float = 0.5  # a share, > 0, < 1", "two ranges"),
        ("n: int = 1  # a, any\nn: int = 2  # b, any", "declares n twice"),
    ],
)
def test_malformed_declarations_are_errors(line: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_cell(line)
    assert said in str(caught.value)
    assert "0x" not in str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300))
def test_an_interval_admits_exactly_its_members(value: float, width: float) -> None:
    low, high = -1.5, -1.5 + width
    for left in "[(":
        for right in "])":
            _, limits = split_range(f"a number, in {left}{low!r}, {high!r}{right}")
            assert limits is not None
            inside = (low < value or (left == "[" and value == low)) and (
                value < high or (right == "]" and value == high)
            )
            assert (value in limits) == inside


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_list_survives_both_spellings(values: list[float]) -> None:
    parameter = parse_cell("x: list[float] = [1.0]  # numbers, any")["x"]
    assert parameter.parse(json.dumps(values)) == values
    assert parameter.parse(",".join(map(repr, values))) == values


@given(st.text())
def test_a_number_is_read_or_refused_never_guessed(text: str) -> None:
    parameter = parse_cell("x: float = 1.0  # a number, any")["x"]
    try:
        value = parameter.parse(text)
    except ParameterError:
        return
    assert isinstance(value, float)
    assert math.isfinite(value)
    assert value == float(text)


def test_an_empty_list_is_allowed_where_it_is_the_default() -> None:
    free = parse_cell("n: list[int] = []  # numbers of draws, >= 1")["n"]
    assert free.check([]) == []
    assert free.parse("[]") == []
    assert free.check([2]) == [2]


def test_an_integer_of_5000_digits_is_refused_in_a_sentence() -> None:
    declared = parse_cell("n: int = 3  # a number, >= 1")
    with pytest.raises(ParameterError, match="n must be a smaller number; got one of 5,000 digits"):
        declared["n"].parse("9" * 5000)
    with pytest.raises(ParameterError, match="n must be a list"):
        parse_cell("n: list[int] = [3]  # numbers, >= 1")["n"].parse("[" + "9" * 5000 + "]")
    with pytest.raises(ParameterError, match="n must be a smaller number"):
        parse_cell("n: list[int] = [3]  # numbers, >= 1")["n"].parse("1," + "9" * 5000)


LISTS = """\
prob: list[float] = [0.5, 0.5]  # base law, summing to one, 2 to 3 values, in (0, 1)
reward: list[float] = [0.0, 1.0]  # rewards, increasing, as many as prob, any
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prob": "0.5,0.4"}, "prob must sum to one; [0.5, 0.4] sums to 0.9."),
        ({"prob": "0.25,0.25,0.25,0.25", "reward": "0,1,2,3"}, "prob must have 2 to 3 values; got 4."),
        ({"reward": "1,1"}, "reward must increase from each value to the next; got [1.0, 1.0]."),
        ({"reward": "1,2,3"}, "reward must have as many values as prob; got 3 for reward and 2 for prob. Give both."),
    ],
)
def test_lists_that_do_not_fit_are_refused_as_a_whole(given: dict[str, str], said: str) -> None:
    declared = parse_cell(LISTS)
    with pytest.raises(ParameterError) as refused:
        resolve_texts(declared, given.items(), Path())
    assert str(refused.value) == said
    fits = {"prob": "0.2,0.3,0.5", "reward": "0,1,5"}
    assert resolve_texts(declared, fits.items(), Path())["reward"] == [0.0, 1.0, 5.0]


def test_a_list_cannot_be_as_many_as_what_is_not_there() -> None:
    with pytest.raises(ParameterError, match="as many values as prob, which is no parameter"):
        parse_cell("reward: list[float] = [0.0, 1.0]  # rewards, as many as prob, any")


ROWS = "prompt_id,reward,gold\n" + "".join(f"{row // 8},{row % 7},{row % 5}\n" for row in range(48))


@pytest.mark.parametrize(
    ("notebook", "given", "said"),
    [
        ("01", {"kl_shown": "50"}, "kl_shown must be below .*; got 50."),
        ("01", {"n_outcomes": "2", "concentration": "0.01"}, "concentration must be larger .* nothing to gain"),
        ("20", {"delta": "1.7"}, "delta must be below 1.609, .*; got 1.7."),
        ("20", {"token_prob": "1,0,0"}, "token_reward must take two values or more where token_prob is positive"),
        ("21", {"fitted_at": "1,2"}, r"fitted_at must lie between 0.7, the base mean, and 2; got \[1.0, 2.0\]."),
        ("21", {"lengths": "40,50"}, r"lengths must be multiples of 20; got \[40, 50\]."),
        ("21", {"token_reward": "0,0.5,2"}, "token_reward must be whole numbers"),
        ("23", {"lengths": "1,2"}, "lengths must reach beyond 5.76 for practical_n=1024; got 2 at most."),
        ("25", {"distance": "1"}, "distance must lie in .*; got 1."),
        ("31", {"table": "t.csv", "reward": "rewad"}, "no column 'rewad' .*did you mean 'reward'"),
        ("31", {"table": "t.csv", "n": "1000"}, "n must not exceed 8, .*; got 1000."),
        ("31", {"table": "t.csv", "bounded": "3"}, "bounded must be the least and the largest reward"),
        ("42", {"table": "t.csv"}, r"matches 'score_\*' \(scorers, gold_column"),
        ("42", {"table": "t.csv", "scorers": "reward", "gold_column": "gold"}, "scorers must name at least two"),
        ("43", {"table": "t.csv"}, r"no column 'proxy' \(proxy, gold\)"),
        ("43", {"checkpoints": "t.csv"}, r"no column 'kl' \(kl_column\)"),
        ("43", {"checkpoints": "t.odd"}, r"^checkpoints: .*t\.odd has the unknown extension"),
        ("44", {"table": "t.csv"}, r"matches 'model_\*' \(members, gold"),
        ("55", {"table": "t.csv"}, "table must go with a run"),
        ("55", {"run": "t.csv"}, r"no column 'kl' \(run_kl\)"),
        ("56", {"table": "t.csv"}, "no column 'log_prob'"),
        ("05", {"n_max": "65536", "n_repeats": "5000"}, "n_max times n_repeats must be at most"),
        ("23", {"lengths": "99,99"}, "lengths must hold two different numbers"),
        ("24", {"lengths": "30"}, "lengths must hold two different numbers"),
        ("24", {"text": "t.txt"}, "text must leave a choice of the next letter"),
        ("30", {"n_samples": "4096", "n_prompts": "100000"}, "n_samples times n_prompts must be at most"),
        ("56", {"n": "4096", "n_rep": "20000"}, "n times n_rep must be at most"),
        ("30", {"kl": "1e300"}, "kl must hold a budget of 0.1 nats or less"),
        ("64", {"n_values": "4,4"}, "n_values must be two or more numbers, no one twice"),
        ("64", {"capacity_fixed": "2"}, "capacity_fixed must be below 1.386, .*; got 2."),
        ("61", {"table": "t.csv"}, r"no column 'target' \(target_column\)"),
        ("24", {"text": "x" * 5000}, "text must be the path of an existing file"),
        ("31", {"level": "1e-7"}, r"level must be in \[1e-6, 0\.999999999\]; got 1e-07"),
        ("32", {"reward": "none"}, "no column 'none'"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notebook: str, given: dict[str, str], said: str
) -> None:
    (tmp_path / "t.csv").write_text(ROWS)
    (tmp_path / "t.odd").write_text(ROWS)
    (tmp_path / "t.txt").write_text(string.ascii_lowercase * 200)
    monkeypatch.chdir(tmp_path)
    found = own_project().find(notebook)
    found.check({})
    with pytest.raises(ParameterError, match=said):
        found.check(resolve_texts(found.parameters, given.items(), tmp_path))


def test_a_table_of_the_reader_is_looked_at_before_anything_runs() -> None:
    for notebook in own_project().notebooks():
        reads = any(p.range.file and p.default is None for p in notebook.parameters.values())
        tags = [tag for cell in notebook.node.cells for tag in cell.metadata.get("tags", [])]
        assert not reads or "conditions" in tags, notebook.name
