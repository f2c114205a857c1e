"""Config files, on dataclasses of every understood kind of field and on the ones that training uses."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Optional

import pytest

from sama_core.errors import ConfigError
from sama_core.model.sama_config import LITE
from sama_core.training.config import TrainConfig
from sama_core.training.config_file import format_config, load_config, parse_config, save_config
from sama_core.training.sama_config import SamaTrainConfig


@dataclass(frozen=True)
class Source:
    path: Path
    weight: float = 1.0
    kind: Literal["mask", "alpha"] = "mask"


@dataclass(frozen=True)
class Rates:
    body: float = 0.3
    head: float = 1.0
    steps: tuple[tuple[int, float], ...] = ()

    def __post_init__(self):
        if self.body < 0:
            raise ValueError("body must not be negative")


@dataclass(frozen=True)
class Everything:
    title: str = 'quotes " and \\ and\nlines and \x7f, ümlaut'
    steps: int = 10
    learning_rate: float = 1e-05
    fast: bool = False
    start: Path | None = None
    limit: Optional[int] = 5  # noqa: UP045 - both spellings of a union are read
    level: Literal[1, 2] = 1
    side: int | Literal["auto"] = "auto"
    rounds: tuple[int, ...] = (0, 1)
    pair: tuple[str, float] = ("a", 0.5)
    frozen: tuple[Literal["x", "y"], ...] = ()
    rates: Rates = Rates()
    late: Rates | None = None
    sources: tuple[Source, ...] = field(default_factory=tuple)


def error_of(text, cls: type = Everything):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, cls, source="run.toml")
    return str(caught.value)


FULL = Everything(
    steps=3,
    fast=True,
    start=Path("runs/a b"),
    limit=None,
    side=7,
    rounds=(),
    pair=("b", float("inf")),
    frozen=("y", "x"),
    rates=Rates(body=2.0, steps=((1, 0.5), (2, 0.25))),
    late=Rates(),
    sources=(Source(Path("a")), Source(Path("b"), 2.5, "alpha")),
)


@pytest.mark.parametrize(
    "config",
    [Everything(), FULL, SamaTrainConfig(), SamaTrainConfig(model="lite", modules=LITE), TrainConfig()],
    ids=["defaults", "everything set", "SAMA", "SAMA lite", "lite"],
)
def test_what_is_written_is_read_back_the_same(config, tmp_path):
    path = tmp_path / "config.toml"
    save_config(config, path)
    assert load_config(path, type(config)) == config


def test_a_written_file_holds_defaults_too_so_that_it_outlives_them():
    text = format_config(FULL)
    assert parse_config(text, Everything, base=Everything(steps=99, level=2)) == FULL
    assert 'limit = "none"' in text


def test_what_a_file_leaves_out_stays_at_its_default():
    text = """
    steps = 4
    learning_rate = 1            # whole numbers do for numbers
    rates.head = 0.5
    [[sources]]
    path = "data/DIS5K"
    """
    assert parse_config(text, Everything) == replace(
        Everything(), steps=4, learning_rate=1.0, rates=Rates(head=0.5), sources=(Source(Path("data/DIS5K")),)
    )


def test_a_file_changes_only_what_it_names_in_a_given_base():
    base = SamaTrainConfig(model="lite", modules=LITE, steps=7)
    got = parse_config("batch = 2\n[modules]\nmvle = false\n", SamaTrainConfig, base)
    assert got == replace(base, batch=2, modules=replace(LITE, mvle=False))


def test_types_are_kept_apart():
    config = parse_config("steps = 5\nlearning_rate = 5\nlimit = 5", Everything)
    assert [type(value) for value in (config.steps, config.learning_rate, config.limit)] == [int, float, int]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('steps = "many"', 'steps must be a whole number, not "many"'),
        ("steps = 1.5", "steps must be a whole number, not 1.5"),
        ("steps = true", "steps must be a whole number, not true"),
        ("level = true", "level must be one of 1, 2, not true"),
        ("fast = 1", "fast must be true or false, not 1"),
        ('learning_rate = "1e-3"', 'learning_rate must be a number, not "1e-3"'),
        ("title = 3", "title must be text, not 3"),
        ("start = 3", 'start must be a path, as text or "none", not 3'),
        ('limit = "no"', 'limit must be a whole number or "none", not "no"'),
        ('side = "big"', 'side must be a whole number or "auto", not "big"'),
        ("rounds = 3", "rounds must be a list in [ ], each a whole number, not 3"),
        ('rounds = [0, "x"]', 'rounds[1] must be a whole number, not "x"'),
        ("pair = [1, 2]", "pair[0] must be text, not 1"),
        ('pair = ["a"]', 'pair must be a list of 2: [text, a number], not ["a"]'),
        ('frozen = ["x", "z"]', 'frozen[1] must be one of "x", "y", not "z"'),
        ("rates = 3", "rates must be a table with body, head, steps, not 3"),
        ("rates.body = false", "rates.body must be a number, not false"),
        ("late.body = false", "late.body must be a number, not false"),
        ("rates.body = -1", "rates: body must not be negative"),
        ("sources = [{ weight = 1 }]", "sources[0].path must be set: a path, as text"),
        ("stepps = 3", "there is no setting stepps; did you mean steps?"),
        ("rates.heads = 3", "there is no setting rates.heads; did you mean head?"),
        ("[rates]\nzzz = 1", "there is no setting rates.zzz; it has body, head, steps"),
        ("start = 1979-05-27", 'start must be a path, as text or "none", not 1979-05-27'),
    ],
)
def test_errors_say_where_and_what_is_expected(text, said):
    assert error_of(text) == f"run.toml: {said}."


def test_text_that_is_no_toml_is_refused_with_its_line():
    assert "run.toml is no valid TOML" in error_of("steps = \n")
    assert "line 2" in error_of("steps = 1\nmodel = lite\n", SamaTrainConfig)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lost\.toml cannot be read: No such file"):
        load_config(tmp_path / "lost.toml", Everything)
    path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "\xe4"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path, Everything)


def test_a_dataclass_that_no_file_can_hold_is_the_programmers_error():
    @dataclass(frozen=True)
    class Odd:
        numbers: frozenset = frozenset()

    with pytest.raises(TypeError, match="cannot hold"):
        format_config(Odd())
