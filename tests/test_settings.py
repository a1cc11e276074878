"""Settings: precedence, checks, and that config.toml and the defaults agree."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.config_file import SECTIONS, load
from evergreen.errors import UsageError
from evergreen.settings import Settings, format_duration, parse_duration

PROJECT = Path(__file__).parent.parent
CONFIG = PROJECT / "config.toml"
KEYS = [(section, key) for section, model in SECTIONS.items() for key in model.model_fields]


def test_the_shipped_file_shows_every_key_with_its_default_except_the_lines_marked_demo():
    shown = tomllib.loads(CONFIG.read_text())
    assert {(section, key) for section in shown for key in shown[section]} == set(KEYS)
    used, defaults = load(CONFIG, {}).as_dict(), Settings().as_dict()
    differing = {f"{s}.{k}" for s, k in KEYS if used[s][k] != defaults[s][k]}
    marked = set()
    section = ""
    for line in CONFIG.read_text().splitlines():
        section = line.strip("[]") if re.fullmatch(r"\[\w+\]", line) else section
        if "# demo" in line:
            marked.add(f"{section}.{line.split('=')[0].strip()}")
    assert differing == marked


def test_every_key_in_the_shipped_file_says_why():
    section = ""
    for line in CONFIG.read_text().splitlines():
        section = line.strip("[]") if re.fullmatch(r"\[\w+\]", line) else section
        if "=" in line and not line.startswith("#"):
            key = f"{section}.{line.split('=')[0].strip()}"
            assert "#" in line, key


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_default(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[drift]\nalpha = 0.04\n")
    environment = {"EVERGREEN_DRIFT_ALPHA": "0.03"}
    assert load(None, {}).drift.alpha == 0.05
    assert load(file, {}).drift.alpha == 0.04
    assert load(file, environment).drift.alpha == 0.03
    assert load(file, environment, ("drift.alpha=0.02",)).drift.alpha == 0.02


def test_the_preset_volume_without_a_volume_is_refused_with_the_reason():
    with pytest.raises(UsageError, match=r"preset 'volume' needs 'volume'.*nothing would ever retrain"):
        load(None, {}, ("policy.preset=volume",))
    assert load(None, {}, ("policy.preset=volume", "policy.volume=5000")).policy.volume == 5000


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_key_misspelt_by_one_letter_is_refused_and_the_right_one_suggested(tmp_path, section, key):
    file = tmp_path / "config.toml"
    file.write_text(f"[{section}]\n{key[:-1] if len(key) > 3 else key + 'x'} = 1\n")
    with pytest.raises(UsageError, match="unknown key") as caught:
        load(file, {})
    if len(key) > 3:
        assert f"'{key}'" in str(caught.value)


def test_an_unknown_section_names_the_nearest(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[polcy]\n")
    with pytest.raises(UsageError, match=r"unknown section \[polcy\]; did you mean 'policy'\?"):
        load(file, {})


def test_all_problems_are_reported_together(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[drift]\nalpha = 2\nmin_rows = "many"\n[policy]\nmode = "yolo"\n')
    with pytest.raises(UsageError) as caught:
        load(file, {})
    assert all(key in str(caught.value) for key in ("drift.alpha", "drift.min_rows", "policy.mode", str(file)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[drift", "not valid TOML"),
        ("[drift]\nalpha = 0.1\nalpha = 0.2\n", "not valid TOML"),
        ("drift = 3\n", r"\[drift\] must be a section"),
        ('[data]\nsource = "a.csv"\nreference = "b.csv"\ncurrent = "c.csv"\n', "not both"),
        ('[data]\nreference = "b.csv"\n', "go together"),
        ('[compute]\nbackend = "dask"\n', "needs 'address'"),
        ('[training]\ntimeout = "3 moons"\n', "expected a length of time"),
        ("[promotion]\nalpha = 0\n", "greater than 0"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_reason(tmp_path, content, words):
    file = tmp_path / "config.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=words):
        load(file, {})


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(UsageError, match="this is a folder"):
        load(tmp_path, {})


@pytest.mark.parametrize("flag", ["drift.alpha", "alpha=1", "drift=1", "=", ""])
def test_a_flag_of_another_shape_is_explained(flag):
    with pytest.raises(UsageError, match=r"section\.key=value"):
        load(None, {}, (flag,))


def test_a_misspelt_variable_is_refused_and_foreign_ones_are_left_alone():
    with pytest.raises(UsageError, match=r"EVERGREEN_DRIFT_ALPA: unknown key drift\.alpa; did you mean 'alpha'"):
        load(None, {"EVERGREEN_DRIFT_ALPA": "1"})
    assert load(None, {"EVERGREEN_DATA": "/tables", "EVERGREEN_ALERT_URLS": "json://x", "HOME": "/"}) == load(None, {})


def test_text_values_stay_text_even_when_they_look_like_numbers():
    assert load(None, {}, ("training.window=20000", "data.positive=1")).data.positive == "1"


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("")
    assert load(file, {}).path("model") == tmp_path / "model"


@given(st.integers(1, 10**7))
def test_a_length_of_time_survives_being_written_and_read(seconds):
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "hours"), [("6 hours", 6), ("1h", 1), ("90 min", 1.5), ("2 days", 48), ("1w", 168), ("30s", 1 / 120)]
)
def test_lengths_of_time_are_read_in_the_usual_words(text, hours):
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ['{euro = "category"}', '{"euro": "category"}', '{ euro = "category" } # why'])
def test_a_flag_takes_values_as_they_stand_in_the_file_or_as_json(text):
    assert load(None, {}, (f"data.kinds={text}",)).data.kinds == {"euro": "category"}
    assert load(None, {"EVERGREEN_DATA_KINDS": text}).data.kinds == {"euro": "category"}


@pytest.mark.parametrize("text", ["euro,plan", "euro, plan", '["euro", "plan"]', "['euro', 'plan']"])
def test_a_list_of_names_may_be_written_as_words(text):
    assert load(None, {}, (f"data.exclude={text}",)).data.exclude == ("euro", "plan")


def test_one_word_is_a_list_of_one_also_when_it_looks_like_a_number():
    settings = load(None, {}, ("data.exclude=euro", "registry.pinned=3", "data.missing="))
    assert (settings.data.exclude, settings.registry.pinned, settings.data.missing) == (("euro",), ("3",), ("",))


def test_what_two_sections_disagree_about_is_told_without_a_gap():
    with pytest.raises(UsageError, match=r"^the settings: drift\.season = 'hour' needs data\.time, the column"):
        load(None, {}, ("drift.season=hour",))


def test_a_bad_value_is_told_with_where_it_came_from(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[drift]\nalpha = 2\n[data]\nexclude = 3\n")
    flags = ("policy.mode=yolo", "training.timeout=3 moons", "data.kinds=3")
    with pytest.raises(UsageError) as caught:
        load(file, {"EVERGREEN_DRIFT_MIN_ROWS": "many", "EVERGREEN_PERFORMANCE_MIN_SCORE": "high"}, flags)
    lines = {line.split(": ")[1]: line for line in str(caught.value).splitlines()}
    assert lines["drift.alpha"].startswith(f"{file}: drift.alpha: must be less than 1 (found 2")
    assert lines["data.exclude"] == f'{file}: data.exclude: must be a list, such as ["a", "b"] (found 3)'
    assert lines["drift.min_rows"].startswith("EVERGREEN_DRIFT_MIN_ROWS: drift.min_rows: must be a valid integer")
    assert lines["policy.mode"].startswith("--set policy.mode: policy.mode: must be 'advise', 'approve' or 'auto'")
    assert lines["data.kinds"] == '--set data.kinds: data.kinds: must be names with values, such as {a = "b"} (found 3)'
    assert lines["training.timeout"].count("found") == 1
    assert lines["performance.min_score"].startswith("EVERGREEN_PERFORMANCE_MIN_SCORE: ")
    assert not re.search("tuple|dict", str(caught.value))
