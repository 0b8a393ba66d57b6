"""A mistake in a settings file is named by file, line, key and value, in plain words and not in those of a library."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from retail_assets.core.settings import SettingsError, as_written, parse_yaml, read_model, read_yaml
from retail_assets.features.config import FeaturesConfig
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.planning.config import PlanningConfig
from retail_assets.pricing.config import PricingConfig
from retail_assets.provenance.config import LineageConfig
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.resources.environments import PROJECT_ROOT
from retail_assets.serving.config import ServingConfig

LIBRARY = ("Extra inputs", "Input should", "Field required", "pydantic", "Value error", "type=")
FILES = {
    "features": FeaturesConfig,
    "forecasting": ForecastingConfig,
    "forecast_views": ViewsConfig,
    "lineage": LineageConfig,
    "planning": PlanningConfig,
    "pricing": PricingConfig,
    "releases": ReleaseConfig,
    "serving": ServingConfig,
}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    share: float = Field(ge=0, le=1)
    kind: Literal["a", "b"] = "a"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int
    inner: Inner

    @model_validator(mode="after")
    def _whole(self) -> "Outer":
        if self.days == 13:
            raise ValueError("13 days bring no luck")
        return self


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("days: 1\ninner: {share: 0.5, shere: 1}\n", 2, "inner.shere: there is no such key; the nearest is 'share'"),
        ("days: 1\ninner:\n  kind: a\n", 2, "inner.share: this key is missing"),
        ("days: 1\ninner:\n  share: 3\n", 3, "inner.share: must be less than or equal to 1, not '3'"),
        (
            "days: many\ninner: {share: 1}\n",
            1,
            "days: must be a whole number, not 'many'",
        ),
        ("days: 1\ninner: {share: 1, kind: c}\n", 2, "inner.kind: must be 'a' or 'b', not 'c'"),
        ("days: 13\ninner: {share: 1}\n", 1, "the file: 13 days bring no luck"),
        ("days: 1\ndays: 2\ninner: {share: 1}\n", 2, "the key 'days' is given twice"),
        ("days: [1\n", 2, "not valid YAML"),
    ],
)
def test_each_kind_of_mistake(tmp_path: Path, text: str, line: int, says: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as found:
        read_model(file, Outer)
    assert says in found.value.what
    assert found.value.where == f"{file}:{line}"
    assert not any(word in str(found.value) for word in LIBRARY)


@pytest.mark.parametrize("name", FILES)
def test_every_settings_file_reads_and_says_where_a_key_is_unknown(name: str, tmp_path: Path) -> None:
    shipped = PROJECT_ROOT / "configs" / f"{name}.yaml"
    read_model(shipped, FILES[name])
    text = shipped.read_text()
    broken = tmp_path / f"{name}.yaml"
    broken.write_text(f"{text}\nno_such_key_at_all: 1\n")
    with pytest.raises(SettingsError) as found:
        read_model(broken, FILES[name])
    assert found.value.where == f"{broken}:{text.count(chr(10)) + 2}"
    assert not any(word in str(found.value) for word in LIBRARY)


WORDS = """
NO on yes off y 0123 00 1_000 2026-01-01 12:30:45 0b1 1:20 +.inf.x 007 1e 1.2.3 =
"""


@pytest.mark.parametrize("word", WORDS.split())
def test_a_word_that_looks_like_text_is_text(word: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{word}: [{word}]") == {word: [word]}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("12", 12), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("1.50", 1.5), (".5", 0.5), ("10E5", 1e6), ("true", True),
        ("False", False), ("null", None), ("~", None), (".inf", float("inf")), ("-.inf", float("-inf")),
    ],
)  # fmt: skip
def test_numbers_and_truth_are_those_of_yaml_1_2_and_know_how_they_are_written(
    word: str, value: object, tmp_path: Path
) -> None:
    found = read(tmp_path, f"key: {word}")["key"]
    assert found == value
    assert type(found) is type(value) or isinstance(value, int | float)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert as_written(found) == word


@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.none()), max_size=5)
)
def test_what_is_quoted_comes_back(content: dict[str, object]) -> None:
    written = yaml.dump(content, allow_unicode=True, default_style='"').encode()
    found = parse_yaml(written, Path("x.yaml"))[0]
    assert {key: value for key, value in found.items() if isinstance(content[key], str)} == {
        key: value for key, value in content.items() if isinstance(value, str)
    }


@pytest.mark.parametrize(
    ("content", "says", "line"),
    [
        (b"a: 1\nb: K\xe4se\n", "not UTF-8: byte e4", 2),
        (b"a: 1\nb: Small\ashop\n", "the character '\\x07'", 2),
        (b"a: &a [*a]\n", "an anchor holds itself", 1),
        (b"a: 1\nb:\n  <<: {c: 1}\n", "merge key << is not read", 3),
        (b"? [1, 2]\n: x\n", "a key is a word", 1),
        (b"a: 1\na: 2\n", "the key 'a' is given twice", 2),
        (b"a: &a [1,2,3,4,5,6,7,8,9,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "more than 100,000", 1),
        (b"a: !!python/object:os.system {}\n", "not valid YAML here: the tag !!python/object:os.system", 1),
        (b"a: 1\n--- \nb: 2\n", "not valid YAML: but found another document", 2),
        (b"a:\n  " + b"[" * 100_000, "more than 50 levels", 2),
    ],
)  # fmt: skip
def test_what_is_no_settings_file_is_named_by_its_line(content: bytes, says: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(says)) as refused:
        read_yaml(file)
    assert refused.value.where == f"{file}:{line}"


def test_a_mark_at_the_beginning_is_no_part_of_the_first_key() -> None:
    assert parse_yaml("\ufeffa: 1".encode(), Path("x.yaml"))[0] == {"a": 1}


def read(folder: Path, text: str) -> Any:
    file = folder / "x.yaml"
    file.write_text(text)
    return read_yaml(file)[0]


@pytest.mark.parametrize(("content", "said"), [
    ("a: " + "9" * 5_000 + "\n", "a number of 5,000 digits"),
    ("a: " + "9" * 5_000_000 + "\n", "a number of 5,000,000 digits"),
    ("a: 1." + "0" * 5_000 + "\n", "a number of 5,002 digits"),
    ("- a\n" * 2_000_000, "more than 100,000 values"),
    ("".join(f"k{n}: 1\n" for n in range(700_000)), "more than 100,000 values"),
    ("---\n" * 1_000_000, "more than 100,000 values"),
    ("{a: " * 100_000, "more than 50 levels in each other"),
])  # fmt: skip
def test_files_that_would_take_for_ever_are_refused_at_once(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(SettingsError, match=said):
        read_yaml(tmp_path / "s.yaml")
