"""Config files, on settings of every kind of field that training uses, and on training's own."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, field_validator

from sama_core.errors import ConfigError
from sama_core.model.sama_config import LITE, SamaConfig
from sama_core.training.config import ModulesConfig, SmallSamConfig
from sama_core.training.config_file import Settings, format_config, load_config, parse_config, save_config


class Source(Settings):
    path: Path
    weight: float = Field(default=1.0, gt=0)
    kind: Literal["mask", "alpha"] = "mask"


class Rates(Settings):
    body: float = 0.3
    head: float = 1.0
    steps: tuple[tuple[int, float], ...] = ()

    @field_validator("body")
    @classmethod
    def _not_negative(cls, body: float) -> float:
        if body < 0:
            raise ValueError("it must not be negative")
        return body


class Everything(Settings):
    title: str = 'quotes " and \\ and\nlines and \x7f, ümlaut'
    steps: int = 10
    learning_rate: float = 1e-05
    fast: bool = False
    start: Path | None = None
    limit: int | None = 5
    level: Literal[1, 2] = 1
    rounds: tuple[int, ...] = (0, 1)
    pair: tuple[str, float] = ("a", 0.5)
    frozen: tuple[Literal["x", "y"], ...] = ()
    rates: Rates = Rates()
    late: Rates | None = None
    sources: tuple[Source, ...] = ()
    modules: SamaConfig = SamaConfig()
    weights: dict[str, float] = Field(default_factory=dict)


def error_of(text, cls: type[Settings] = Everything):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, cls, source="run.toml")
    return str(caught.value)


FULL = Everything(
    steps=3,
    fast=True,
    start=Path("runs/a b"),
    limit=None,
    rounds=(),
    pair=("b", 1e30),
    frozen=("y", "x"),
    rates=Rates(body=2.0, steps=((1, 0.5), (2, 0.25))),
    late=Rates(),
    sources=(Source(path=Path("a")), Source(path=Path("b"), weight=2.5, kind="alpha")),
    modules=LITE,
    weights={"A": 0.5, "a set's": 2.0},
)


@pytest.mark.parametrize(
    "config",
    [Everything(), FULL, ModulesConfig(), ModulesConfig(model="lite", modules=LITE), SmallSamConfig(sets={"a": 0.5})],
    ids=["defaults", "everything set", "SAMA", "SAMA lite", "lite"],
)
def test_what_is_written_is_read_back_the_same(config, tmp_path):
    path = tmp_path / "config.toml"
    save_config(config, path)
    assert load_config(path, type(config)) == config


def test_a_written_file_holds_defaults_too_so_that_it_outlives_them():
    text = format_config(FULL)
    assert set(Everything.model_fields) <= {line.partition(" =")[0].strip("[]") for line in text.splitlines()}
    assert 'limit = "none"' in text


def test_what_a_file_leaves_out_stays_at_its_default():
    text = """
    steps = 4
    learning_rate = 1            # whole numbers do for numbers
    rates.head = 0.5
    [[sources]]
    path = "data/DIS5K"
    """
    assert parse_config(text, Everything) == Everything(
        steps=4, learning_rate=1.0, rates=Rates(head=0.5), sources=(Source(path=Path("data/DIS5K")),)
    )


def test_what_is_given_beside_a_file_counts_and_is_checked_like_it():
    got = parse_config("steps = 2\nfast = true", Everything, steps=7, rounds=(3,))
    assert got == Everything(steps=7, fast=True, rounds=(3,))
    with pytest.raises(ConfigError, match=r"config: steps must be a valid integer, not 1\.5"):
        parse_config("", Everything, steps=1.5)


def test_types_are_kept_apart():
    config = parse_config("steps = 5\nlearning_rate = 5\nlimit = 5", Everything)
    assert [type(value) for value in (config.steps, config.learning_rate, config.limit)] == [int, float, int]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('steps = "many"', 'steps must be a valid integer, not "many"'),
        ("steps = 1.5", "steps must be a valid integer, not 1.5"),
        ("steps = true", "steps must be a valid integer, not true"),
        ("level = 3", "level must be 1 or 2, not 3"),
        ("fast = 1", "fast must be a valid boolean, not 1"),
        ('learning_rate = "1e-3"', 'learning_rate must be a valid number, not "1e-3"'),
        ("learning_rate = inf", "learning_rate must be a finite number, not Infinity"),
        ("title = 3", "title must be a valid string, not 3"),
        ("start = 3", "start must be a valid string, not 3"),
        ('limit = "no"', 'limit must be a valid integer, not "no"'),
        ("rounds = 3", "rounds must be a valid list, not 3"),
        ('rounds = [0, "x"]', 'rounds[1] must be a valid integer, not "x"'),
        ("pair = [1, 2]", "pair[0] must be a valid string, not 1"),
        ('pair = ["a"]', "pair[1] must be set"),
        ('frozen = ["x", "z"]', "frozen[1] must be 'x' or 'y', not \"z\""),
        ("rates = 3", "rates must be a table, not 3"),
        ("rates.body = false", "rates.body must be a valid number, not false"),
        ("late.body = false", "late.body must be a valid number, not false"),
        ("rates.body = -1", "rates.body: it must not be negative"),
        ("sources = [{ weight = 1 }]", "sources[0].path must be set"),
        ('sources = [{ path = "a", weight = 0 }]', "sources[0].weight must be greater than 0, not 0"),
        ("stepps = 3", "there is no setting stepps; did you mean steps?"),
        ("rates.heads = 3", "there is no setting rates.heads; did you mean head?"),
        ("late.heads = 3", "there is no setting late.heads; did you mean head?"),
        ('sources = [{ path = "a", paht = "b" }]', "there is no setting sources[0].paht; did you mean path?"),
        ("modules.local_din = 3", "there is no setting modules.local_din; did you mean local_dim?"),
        ("modules.pools = [1, true]", "modules.pools[1] must be a valid integer, not true"),
        ("[rates]\nzzz = 1", "there is no setting rates.zzz; it has body, head, steps"),
        ("start = 1979-05-27", "start must not be a date or time. Put it in quotes if it is text"),
        ("steps = 0xffffffffffffffffff", "steps has a number beyond the 64 bits of TOML's"),
        ('start = "a\\u0000b"', "start has a zero byte, which no text may hold"),
    ],
)
def test_errors_say_where_and_what_is_expected(text, said):
    assert error_of(text) == f"run.toml: {said}."


def test_text_that_is_no_toml_is_refused_with_its_line():
    assert "run.toml is no valid TOML" in error_of("steps = \n")
    assert "line 2" in error_of("steps = 1\nmodel = lite\n", ModulesConfig)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lost\.toml cannot be read: No such file"):
        load_config(tmp_path / "lost.toml", Everything)
    path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "\xe4"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path, Everything)
