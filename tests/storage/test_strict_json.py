"""JSON that other programs read, whatever the numbers."""

import json
import math

import pytest

from bisnn_pyro.storage import strict_json

VALUES = {
    "nll": math.inf,
    "low": -math.inf,
    "nan": math.nan,
    "classes": ["NaN", "Infinity", "-Infinity", "\\NaN", "\\\\Infinity", "ordinary"],
    "nested": {"rows": [[1, 2.5, None], {"own": True}]},
}


def test_what_is_written_is_standard_and_reads_back():
    text = strict_json.dumps(VALUES)
    json.loads(text, parse_constant=pytest.fail)
    found = strict_json.loads(text)
    assert math.isnan(found.pop("nan"))
    assert found == {name: value for name, value in VALUES.items() if name != "nan"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[]", "object"),
        (b"3", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b'{"nll": Infinity}', "Infinity is not JSON"),
        (b'{"nll": NaN}', "NaN is not JSON"),
        (b'{"nll": ', "Expecting value"),
        (b"", "Expecting value"),
        (b'{"a": "\xff"}', "decode"),
        (b'{"a": ' + b"[" * 100_000, "deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_anything_else_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        strict_json.loads(text)


def test_a_file_is_written_whole(tmp_path):
    strict_json.write(tmp_path / "a.json", {"x": 1})
    with pytest.raises(TypeError):
        strict_json.write(tmp_path / "a.json", {"x": object()})
    assert strict_json.read(tmp_path / "a.json") == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
