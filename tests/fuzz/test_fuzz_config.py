"""Config files with damage: the settings, or `ConfigError` with a remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import assert_helpful, mutated

from sama_core.errors import ConfigError
from sama_core.training.config import ModulesConfig, RefinerConfig, SmallSamConfig
from sama_core.training.config_file import format_config, load_config, parse_config

RECIPES = Path(__file__).resolve().parents[2] / "sama_core" / "training" / "recipes"
SEEDS = [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))] + [format_config(SmallSamConfig()).encode()]
VALUES = ['"a"', "1", "-1", "0", "1e999", "nan", "true", "[]", "{}", '"none"', "1979-05-27", "[[1]]", '"\\u0000"']


def _read(text: str) -> None:
    for cls in (ModulesConfig, SmallSamConfig, RefinerConfig):
        try:
            config = parse_config(text, cls)
        except ConfigError as error:
            assert_helpful(error)
            continue
        assert parse_config(format_config(config), cls) == config


@given(st.sampled_from(SEEDS).flatmap(mutated))
def test_recipes_with_damage(data):
    _read(data.decode("utf-8", "replace"))


@given(st.sampled_from(SEEDS).flatmap(lambda seed: _other_values(seed.decode())))
def test_recipes_with_other_values(text):
    _read(text)


@st.composite
def _other_values(draw: st.DrawFn, recipe: str) -> str:
    lines = recipe.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from([n for n, line in enumerate(lines) if "=" in line and not line.startswith("#")]))
        lines[at] = f"{lines[at].partition('=')[0]}= {draw(st.sampled_from(VALUES) | st.integers().map(str))}"
    return "\n".join(lines)


@given(st.text(max_size=60))
@example("a = " + "[" * 50_000)
@example("a = " + "[" * 100 + "]" * 100)
@example("a = " + "{b=" * 50_000)
@example("steps = " + "9" * 5000)
@example("learning_rate = 1" + "0" * 400)
@example("steps = 0x" + "f" * 5000)
@example("x" * 100_000 + " = 1")
@example('steps = "' + "x" * 100_000 + '"')
@example('"a\\nb" = 1')
@example("a = 0000-00-00")
def test_any_text(text):
    _read(text)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ConfigError, match="not a file"):
        load_config(tmp_path / "pipe.toml", SmallSamConfig)


@given(data=st.binary(max_size=40))
def test_any_bytes_in_a_file(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_bytes(data)
    try:
        load_config(path, SmallSamConfig)
    except ConfigError as error:
        assert_helpful(error)
