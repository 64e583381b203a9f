"""What reports call a value, decided in one place."""

import json
import pickle
import re

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.redaction import OTHER, WITHHELD, Redaction, RedactionSettings, check_known


@pytest.fixture
def redaction(tmp_path):
    return Redaction(features=frozenset({"city"}), min_count=5, key_file=str(tmp_path / "key"))


def test_categories_are_named_hashed_or_other(redaction):
    assert redaction.name("site", "north", 5) == "north"
    assert redaction.name("site", "north", 4) == OTHER
    assert re.fullmatch("#[0-9a-f]{10}", redaction.name("city", "Bern", 5))
    assert redaction.name("city", "Bern", 4) == OTHER


def test_a_hash_is_the_same_for_all_who_share_the_key_and_for_one_feature(redaction, tmp_path):
    again = Redaction(features=frozenset({"city"}), key_file=str(tmp_path / "key"))
    other_key = Redaction(features=frozenset({"city"}), key_file=str(tmp_path / "other"))
    assert again.token("city", "Bern") == redaction.token("city", "Bern")
    assert other_key.token("city", "Bern") != redaction.token("city", "Bern")
    assert redaction.token("town", "Bern") != redaction.token("city", "Bern")


@pytest.mark.parametrize("name", ["city", "feature.city", "city#value", "feature.city#length"])
def test_a_feature_is_hidden_under_all_of_its_names(redaction, name):
    assert redaction.hides(name)
    assert redaction.note(name, "such as 'Bern'") == WITHHELD
    assert redaction.examples(name, {"Bern": 100}, 3) == []


@pytest.mark.parametrize("name", ["cit", "city2", "site#city"])
def test_others_are_not(redaction, name):
    assert not redaction.hides(name)


@pytest.mark.parametrize(
    ("title", "rows", "shown"),
    [
        ("site=north", 5, "site=north"),
        ("site=north", 1, "site=other"),
        ("city=Bern", 5, "city=#"),
        ("city=a=b", 5, "city=#"),
        ("1.5<city<=7.25", None, "city=#"),
        ("1.5<fare<=7.25", None, "1.5<fare<=7.25"),
        ("", None, ""),
    ],
)
def test_slices_are_called_by_their_values_names(redaction, title, rows, shown):
    found = redaction.slice_name(title, rows)
    assert found.startswith(shown) if shown.endswith("#") else found == shown
    assert "Bern" not in found
    assert "7.25" not in found or "fare" in found


def test_only_what_many_rows_have_is_quoted(redaction):
    assert redaction.examples("site", {"rare": 4, "b": 5, "a": 5, "most": 9}, 2) == ["most", "a"]


def test_settings_travel_without_the_key(tmp_path):
    settings = RedactionSettings(redact=("city",), redact_key=str(tmp_path / "key"))
    redaction = settings.redaction()
    redaction.token("city", "Bern")
    key = (tmp_path / "key").read_text().strip()
    for text in (repr(redaction), json.dumps(vars(settings)), repr(pickle.dumps(redaction))):
        assert key not in text
        assert repr(bytes.fromhex(key))[2:-1] not in text


def test_no_key_is_made_before_something_is_hidden(tmp_path):
    redaction = Redaction(min_count=5, key_file=str(tmp_path / "key"))
    assert redaction.name("city", "Bern", 9) == "Bern"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_hide_is_refused():
    with pytest.raises(ConfigError, match="min_count must be at least 1 row, got 0"):
        RedactionSettings(min_count=0)
    with pytest.raises(ConfigError, match="redact_key"):
        RedactionSettings(redact=("city",), redact_key="")
    with pytest.raises(ConfigError, match=r"received \['ctiy'\].*nothing is hidden"):
        check_known(["ctiy"], ["city", "fare"])
