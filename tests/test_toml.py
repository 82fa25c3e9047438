"""TOML from outside: encodings, limits, and the strings of ``--set``."""

from pathlib import Path

import pytest

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.toml import MAX_BYTES, parse_overrides, parse_toml, read_toml


def written(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_utf_8_with_or_without_its_mark(tmp_path, mark, end):
    content = mark + "description = 'Müller'".encode() + end + b"seed = 3" + end
    assert read_toml(written(tmp_path, content)) == {"description": "Müller", "seed": 3}


def test_a_config_with_a_mark_is_the_same(source, tmp_path):
    marked = written(tmp_path, b"\xef\xbb\xbf" + Path(source).read_bytes())
    assert plan(str(marked)) == plan(source)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 'ü'".encode("latin-1"), "not UTF-8"),
        (b"x = ", "not valid TOML"),
        (b"a = 1\na = 2", "not valid TOML"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"[" * 30 + b"]" * 30, "nested too deeply"),
        (b"a = " + b"9" * 5000, "64 bits"),
        (b"a = [[9223372036854775808]]", "64 bits"),
        (b"#" * (MAX_BYTES + 1), "larger than 10 MiB"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, words):
    with pytest.raises(ConfigError, match=r"mine\.toml.*" + words):
        read_toml(written(tmp_path, content))


@pytest.mark.parametrize("path", ["nowhere.toml", "\0.toml", "."])
def test_what_cannot_be_read_is_refused(path):
    with pytest.raises(ConfigError, match="cannot read the config file"):
        read_toml(path)


def test_the_largest_whole_numbers_pass():
    assert parse_toml("a = 9223372036854775807", "x") == {"a": 2**63 - 1}


def test_overrides_are_nested_tables():
    texts = [
        "train.epochs=5",
        "data.name=npz",
        'tune."rule.lr"=[1, 2]',
        "network.hidden=[8]",
        "a . b = 'x=y'",
    ]
    assert parse_overrides(texts) == {
        "train": {"epochs": 5},
        "data": {"name": "npz"},
        "tune": {"rule.lr": [1, 2]},
        "network": {"hidden": [8]},
        "a": {"b": "x=y"},
    }


def test_of_two_values_of_one_key_the_later_counts():
    assert parse_overrides(["train.epochs=5", "train.epochs=7"]) == {"train": {"epochs": 7}}


def test_a_line_break_does_not_begin_another_key():
    assert parse_overrides(["description=1\nseed=2"]) == {"description": "1\nseed=2"}
