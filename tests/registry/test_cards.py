"""Cards: filed under the digest of their model, strict JSON, refused when they are not what they say."""

import json
import platform
from dataclasses import fields
from pathlib import Path

import pytest
from tests.registry.models import make_card, make_pickle

from evergreen.errors import IntegrityError
from evergreen.registry import cards
from evergreen.registry.cards import Card


@pytest.fixture
def card() -> Card:
    return make_card(
        make_pickle("one"),
        version=3,
        classes=("no", "yes"),
        gates=({"name": "loads", "passed": True},),
        importances={"age": 0.75, "größe": 0.25},
        comparison={"winner": "challenger"},
        libraries={"numpy": "2.0"},
    )


def change(path: Path, **new: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | new))


def test_a_card_reads_back_as_it_was_written(card, tmp_path):
    cards.write_card(tmp_path, card)
    assert cards.read_card(tmp_path, card.digest) == card
    document = json.loads((tmp_path / f"{card.digest}.json").read_text())
    assert set(document) == {each.name for each in fields(Card)}
    assert document["format"] == 1


def test_a_key_of_a_later_version_is_passed_over(card, tmp_path):
    cards.write_card(tmp_path, card)
    change(tmp_path / f"{card.digest}.json", signature="abc")
    assert cards.read_card(tmp_path, card.digest) == card


def test_a_later_format_is_refused_and_not_guessed(card, tmp_path):
    cards.write_card(tmp_path, card)
    change(tmp_path / f"{card.digest}.json", format=2)
    with pytest.raises(IntegrityError, match=r"card format 2 is not known here, expected 1. Update Evergreen"):
        cards.read_card(tmp_path, card.digest)


def test_a_missing_card_says_that_the_model_is_not_known(card, tmp_path):
    with pytest.raises(IntegrityError, match=f"there is no card for model {card.digest[:12]}"):
        cards.read_card(tmp_path, card.digest)


def test_a_card_under_the_wrong_name_is_refused(card, tmp_path):
    cards.write_card(tmp_path, card)
    other = "0" * 64
    (tmp_path / f"{card.digest}.json").rename(tmp_path / f"{other}.json")
    with pytest.raises(IntegrityError, match=f"this is the card of model {card.digest[:12]}, expected 000000000000"):
        cards.read_card(tmp_path, other)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"{}", b'{"format": 1}', b"\xff\xfe", b'{"format": 1, "digest": 3, "version": 0}'],
)
def test_what_is_no_card_is_refused(content, tmp_path):
    (tmp_path / f"{'a' * 64}.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="this is not a card"):
        cards.read_card(tmp_path, "a" * 64)


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
def test_a_version_that_is_no_count_is_refused(version, card, tmp_path):
    cards.write_card(tmp_path, card)
    change(tmp_path / f"{card.digest}.json", version=version)
    with pytest.raises(IntegrityError, match="this is not a card"):
        cards.read_card(tmp_path, card.digest)


PATHS = ["", "..", "../" * 3 + "etc/passwd", "/etc/passwd", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "g" * 64]
PATHS += ["%2e%2e%2f", "..\\..", "a" * 63 + "\0", "．．／", "C:" + "a" * 62]


@pytest.mark.parametrize("digest", PATHS)
def test_only_a_whole_digest_becomes_a_file_name(digest, tmp_path):
    with pytest.raises(IntegrityError, match="is no model digest; expected 64 hexadecimal digits"):
        cards.card_path(tmp_path, digest)


def test_a_number_that_json_does_not_know_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        cards.write_card(tmp_path, make_card(make_pickle("one"), importances={"age": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_installed_libraries_are_named_as_on_the_package_index():
    found = cards.installed_libraries(["no-such-package", "pydantic"])
    assert {"scikit-learn", "numpy", "pydantic"} <= set(found)
    assert "no-such-package" not in found


def test_changed_libraries_are_told_with_both_versions():
    now = cards.installed_libraries()
    same = make_card(b"", libraries=now, python=platform.python_version())
    assert cards.changed_libraries(same) == []
    other = make_card(b"", libraries={"numpy": "1.0", "gone-package": "2"}, python="3.9.0")
    assert cards.changed_libraries(other) == [
        f"trained with numpy 1.0, installed is {now['numpy']}",
        "trained with gone-package 2, installed is not installed",
        f"trained with Python 3.9.0, running is {platform.python_version()}",
    ]


@pytest.mark.parametrize(("version", "differs"), [("1.9.9", False), ("1.8.1", True), ("2.9.1", True), ("", False)])
def test_only_the_first_two_numbers_of_a_version_have_to_agree(version, differs, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.9.1")
    card = make_card(b"", libraries={"scikit-learn": version} if version else {})
    assert cards.other_minor(card) is differs
