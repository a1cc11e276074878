"""Bad data: what must be found, what must stay silent, and what blocks."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from table_tools import open_text
from test_schema import CONTRACT, SETTINGS, customers

from evergreen.data.facts import number_facts, word_facts
from evergreen.data.quality import Finding, check_table, raise_findings
from evergreen.data.schema import infer_contract
from evergreen.data.sources import Window, table_of
from evergreen.data.values import check_values
from evergreen.errors import DataError
from evergreen.settings import DataSettings

RNG = np.random.default_rng(7)


def found(findings) -> list[tuple[str, str, bool]]:
    return [(finding.column, finding.finding, finding.blocking) for finding in findings]


def table_findings(frame: pd.DataFrame, settings: DataSettings = SETTINGS):
    return check_table(table_of(frame, "new"), CONTRACT, settings)


def check_frame(frame: pd.DataFrame, contract, settings: DataSettings):
    return check_values(table_of(frame, "the rows"), contract, settings)


def value_findings(frame: pd.DataFrame, settings: DataSettings = SETTINGS):
    return check_frame(frame, CONTRACT, settings)


def test_new_rows_of_the_same_world_have_no_findings():
    for seed in range(1, 40):
        frame = customers(seed, rows=500)
        assert table_findings(frame) == value_findings(frame) == ()


def test_all_problems_with_names_and_types_are_found_together():
    frame = customers().drop(columns="income").rename(columns={"age": "Age_Years"}).assign(plan=1.5, active="x", new=1)
    frame["plan"] = pd.date_range("2025-01-01", periods=len(frame))
    assert found(table_findings(frame)) == [
        ("age", "renamed", True),
        ("income", "missing_column", True),
        ("plan", "retyped", True),
        ("active", "retyped", True),
        ("new", "extra_column", False),
    ]


def test_one_error_lists_every_blocking_finding_with_its_key():
    frame = customers().drop(columns="income").assign(age="unknown", new=1)
    with pytest.raises(DataError) as error:
        raise_findings(table_findings(frame), "new.csv")
    message = str(error.value)
    assert message.startswith("new.csv: the data can't be used; nothing was trained.")
    assert "- column 'income' is missing; the model learned from it. Found: customer_id, signed, age" in message
    assert "- column 'age' held numbers and now holds string values, such as 'unknown'." in message
    assert "(data.missing)" in message
    assert "column 'new'" not in message
    raise_findings(table_findings(customers().assign(new=1)), "new.csv")


def test_extra_columns_block_where_the_user_wants_it_so():
    strict = DataSettings(target="churned", allow_extra_columns=False)
    assert found(table_findings(customers().assign(new=1), strict)) == [("new", "extra_column", True)]


def test_columns_that_were_no_features_may_stay_away_and_come_back():
    assert table_findings(customers().drop(columns=["customer_id", "signed", "empty", "churned"])) == ()
    assert table_findings(customers().assign(empty="now it has values")) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"age": lambda frame: frame["age"].fillna(30).astype(int)},
        {"age": lambda frame: frame["age"].astype("float32")},
        {"income": lambda frame: frame["income"].round().astype(int)},
        {"active": lambda frame: frame["active"].astype(int)},
        {"active": lambda frame: frame["active"].astype(float).where(frame["age"] > 20)},
        {"plan": lambda frame: frame["plan"].astype("category")},
    ],
)
def test_the_same_column_in_another_type_is_the_same_column(change):
    frame = customers(3).assign(**change)
    assert table_findings(frame) == value_findings(frame) == ()


@pytest.mark.parametrize(
    "share, bad, blocks",
    [
        (0.02, lambda values: values * 1000, [True]),
        (0.10, lambda values: values * 0 - 999, [True]),
        (0.02, lambda values: values * 0 + np.inf, [True]),
        (0.005, lambda values: values * 0 - 999, []),
        (1.0, lambda values: values * 1.6, [False]),
        (0.5, lambda values: values + 40, [False]),
    ],
)
def test_a_unit_error_or_a_sentinel_blocks_and_a_shift_is_only_told(share, bad, blocks):
    frame = customers(2)
    chosen = RNG.random(len(frame)) < share
    frame["age"] = frame["age"].where(~chosen, bad(frame["age"]))
    findings = value_findings(frame)
    assert found(findings) == [("age", "out_of_range", blocking) for blocking in blocks]
    if blocks == [True]:
        assert findings[0].value == pytest.approx(share, abs=0.02)
        assert (findings[0].limit, findings[0].key) == (0.01, "data.max_out_of_range")
        assert "far outside everything known" in findings[0].text
        assert value_findings(frame, DataSettings(target="churned", max_out_of_range=0.5)) == ()
    elif blocks:
        assert "of the values are outside the known range of" in findings[0].text
        strict = value_findings(frame, DataSettings(target="churned", strict=True))
        assert found(strict) == [("age", "out_of_range", True)]


def test_two_values_out_of_range_among_a_hundred_may_be_chance():
    heavy = np.random.default_rng(0).standard_cauchy(20_000)
    contract = infer_contract(table_of(pd.DataFrame({"a": heavy}), "t"), DataSettings())
    for seed in range(20):
        rows = pd.DataFrame({"a": np.random.default_rng(seed + 1).standard_cauchy(100)})
        assert check_frame(rows, contract, DataSettings()) == ()


def test_a_quantity_that_grows_is_no_unit_error():
    contract = infer_contract(table_of(pd.DataFrame({"a": np.linspace(0, 1, 1000)}), "t"), DataSettings())
    grown = pd.DataFrame({"a": np.linspace(1, 2.9, 1000)})
    assert found(check_frame(grown, contract, DataSettings())) == [("a", "out_of_range", False)]
    assert found(check_frame(1 - grown, contract, DataSettings())) == [("a", "out_of_range", False)]
    jumped = pd.DataFrame({"a": np.linspace(2.5, 2.9, 1000)})
    for rows in jumped, 1 - jumped:
        assert found(check_frame(rows, contract, DataSettings())) == [("a", "out_of_range", True)]


@pytest.mark.parametrize("share, blocks", [(0.0, None), (0.005, None), (0.05, False), (0.6, True), (1.0, True)])
def test_unknown_categories_are_reported_and_block_when_they_are_most(share, blocks):
    frame = customers(4)
    chosen = RNG.random(len(frame)) < share
    frame["plan"] = frame["plan"].where(~chosen | frame["plan"].isna(), "platinum")
    findings = [finding for finding in value_findings(frame) if finding.finding == "unseen_categories"]
    assert [finding.blocking for finding in findings] == ([] if blocks is None else [blocks])
    if findings:
        assert "unknown, such as 'platinum'" in findings[0].text
        assert (findings[0].limit, findings[0].key) == (0.01, "data.max_unseen")


def test_many_rare_categories_are_expected_to_bring_new_ones():
    names = np.array([f"w{number}" for number in range(5000)])
    weights = 1 / np.arange(1, 5001)
    weights /= weights.sum()
    draw = np.random.default_rng(0)
    contract = infer_contract(
        table_of(pd.DataFrame({"w": draw.choice(names, 5000, p=weights)}), "t"), DataSettings(kinds={"w": "category"})
    )
    for _ in range(20):
        clean = pd.DataFrame({"w": draw.choice(names, 3000, p=weights)})
        assert check_frame(clean, contract, DataSettings()) == ()
    changed = clean.copy()
    changed.loc[:450, "w"] = "quite new"
    assert found(check_frame(changed, contract, DataSettings())) == [("w", "unseen_categories", False)]


def test_unknown_categories_of_a_small_reference_are_no_alarm():
    names = np.array([f"w{number}" for number in range(400)])
    settings = DataSettings(kinds={"w": "category"})
    alarms = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        contract = infer_contract(table_of(pd.DataFrame({"w": draw.choice(names, 600)}), "t"), settings)
        alarms += len(check_frame(pd.DataFrame({"w": draw.choice(names, 5000)}), contract, settings))
    assert alarms <= 4  # 1.4 are expected: one in a hundred, and the reference's own luck beyond two standard errors


def test_anything_but_true_and_false_in_a_boolean_blocks():
    frame = customers(1)
    frame["active"] = frame["active"].astype(int)
    frame.loc[0, "active"] = 2
    assert found(value_findings(frame)) == [("active", "unseen_categories", True)]


def test_a_flag_that_was_always_off_may_come_on():
    contract = infer_contract(table_of(pd.DataFrame({"x": np.arange(500.0) % 17, "flag": False}), "t"), DataSettings())
    rows = pd.DataFrame({"x": np.arange(500.0) % 17, "flag": np.arange(500) < 3})
    assert check_frame(rows, contract, DataSettings()) == ()


def test_a_column_that_lost_all_its_values_blocks():
    assert found(value_findings(customers(1).assign(age=np.nan))) == [("age", "all_missing", True)]
    assert found(value_findings(customers(1).assign(plan=None))) == [("plan", "all_missing", True)]


def test_what_is_wrong_with_an_excluded_column_is_told_and_blocks_nothing():
    contract = infer_contract(table_of(customers(0), "t"), DataSettings())
    findings = check_frame(customers(1).assign(age=np.nan), contract, DataSettings(exclude=("age",)))
    assert found(findings) == [("age", "all_missing", False)]


def test_a_column_that_is_nearly_always_missing_may_be_missing_in_a_small_batch():
    frame = pd.DataFrame({"x": np.arange(1000.0) % 7, "weight": [80.0] * 30 + [np.nan] * 970})
    contract = infer_contract(table_of(frame, "t"), DataSettings())
    assert check_frame(frame[30:130], contract, DataSettings()) == ()
    assert found(check_frame(frame[30:], contract, DataSettings())) == [("weight", "all_missing", True)]


def test_a_number_that_is_stuck_blocks_and_a_flag_that_stays_off_does_not():
    assert found(value_findings(customers(1).assign(income=5000.0))) == [("income", "constant", True)]
    assert found(value_findings(customers(1).assign(plan="basic"))) == [("plan", "constant", False)]
    assert value_findings(customers(1)[:10].assign(plan="basic")) == ()
    rare = pd.DataFrame({"x": np.arange(1000) % 9, "flag": [1] + [0] * 999})
    contract = infer_contract(table_of(rare, "t"), DataSettings())
    assert check_frame(rare[1:], contract, DataSettings()) == ()


@pytest.mark.parametrize("names", [(1.0, 2.0, 3.0, 4.0), ("spring", "summer", "autumn", "winter")])
def test_a_value_that_stays_for_a_season_is_told_and_blocks_when_it_stays_longer_than_any_season(names):
    seasons = pd.DataFrame({"x": np.arange(4000.0) % 9, "season": np.repeat(names, 1000)})
    contract = infer_contract(table_of(seasons, "t"), DataSettings())
    spring = seasons[:1].loc[np.zeros(2500, int)].assign(x=np.arange(2500.0) % 9).reset_index(drop=True)
    assert found(check_frame(spring[:1500], contract, DataSettings())) == [("season", "constant", False)]
    assert found(check_frame(spring, contract, DataSettings())) == [("season", "constant", True)]


@pytest.mark.parametrize("values", [[1.0, 1, 2, None, 2, 2, 3], ["a", "a", "b", None, "b", "b", "c"]])
def test_the_longest_run_is_told_over_the_ends_of_chunks_and_over_gaps(values):
    pieces = [pa.array(values[:4]), pa.array(values[4:])]
    facts = number_facts(iter(pieces), 7) if isinstance(values[0], float) else word_facts(iter(pieces))
    assert facts.longest_run == 3


def test_a_single_row_is_no_stuck_sensor():
    assert value_findings(customers(1)[:1]) == ()
    assert [each.finding for each in value_findings(customers(1)[:3].assign(income=5000.0))] == ["constant"]


def test_a_column_that_was_constant_may_come_alive():
    frame = pd.DataFrame({"x": np.arange(1000) % 9, "new_product": [0.0] * 1000})
    contract = infer_contract(table_of(frame, "t"), DataSettings())
    assert check_frame(frame.assign(new_product=np.arange(1000) * 50.0), contract, DataSettings()) == ()


@pytest.mark.parametrize(
    "old, new, renamed",
    [
        ("age", "Age", True),
        ("age", "age_years", True),
        ("tenure_days", "TenureDays", True),
        ("income", "incomes", True),
        ("age", "average_price", False),
        ("f1", "f10", False),
        ("age", "note", False),
        ("age", "#", False),
    ],
)
def test_a_new_column_is_taken_for_a_missing_one_when_the_names_are_alike(old, new, renamed):
    frame = pd.DataFrame({"x": np.arange(100) % 9, old: np.arange(100) % 7})
    contract = infer_contract(table_of(frame, "t"), DataSettings())
    findings = found(check_table(table_of(frame.rename(columns={old: new}), "t"), contract, DataSettings()))
    expected = [(old, "renamed", True)] if renamed else [(old, "missing_column", True), (new, "extra_column", False)]
    assert findings == expected


def test_a_column_of_another_type_is_no_renamed_one():
    frame = customers().drop(columns="age").assign(age_group="old")
    assert found(table_findings(frame)) == [("age", "missing_column", True), ("age_group", "extra_column", False)]


def test_a_retyped_column_is_one_finding_not_two():
    assert value_findings(customers().assign(age="unknown")) == ()


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([0, 1, None], []),
        ([0.0, 1.0, np.nan], []),
        ([True, False, None], []),
        (["0", "1", None], []),
        ([None, None, None], []),
        ([0] * 9 + [2], [("churned", "impossible_target", False)]),
        (["yes", "no", None], [("churned", "impossible_target", True)]),
    ],
)
def test_labels_must_be_known_classes_however_they_are_written(labels, expected):
    frame = customers(1)
    frame["churned"] = pd.Series(labels * (len(frame) // len(labels) + 1), dtype=object)[: len(frame)]
    frame["churned"] = frame["churned"].infer_objects()
    assert found(value_findings(frame)) == expected


@pytest.mark.parametrize(
    "bad, message",
    [(np.inf, "target 'y' has 1 infinite values"), ("many", "target 'y' held numbers and now holds string")],
)
def test_a_target_of_numbers_must_be_finite_numbers(bad, message):
    frame = pd.DataFrame({"x": RNG.normal(size=100), "y": RNG.normal(size=100)})
    contract = infer_contract(table_of(frame, "t"), DataSettings(target="y"))
    assert check_frame(frame, contract, DataSettings(target="y")) == ()
    wrong = frame.assign(y=[bad, *frame["y"][1:]] if bad is np.inf else bad)
    (finding,) = check_frame(wrong, contract, DataSettings(target="y"))
    assert (finding.finding, finding.blocking) == ("impossible_target", True)
    assert message in finding.text


@pytest.mark.parametrize(
    "change, blocks",
    [
        (lambda y, chosen: y.where(~chosen, -9999.0), [True]),
        (lambda y, chosen: y.where(~chosen, y * 1000), [True]),
        (lambda y, chosen: y * 1.6, [False]),
        (lambda y, chosen: y + 40, [False]),
        (lambda y, chosen: y.where(~chosen, np.nan), []),
    ],
)
def test_sentinels_among_the_labels_block_and_growth_is_only_told(change, blocks):
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"x": draw.normal(size=2000), "y": draw.uniform(50, 150, 2000)})
    contract = infer_contract(table_of(frame, "t"), DataSettings(target="y"))
    changed = frame.assign(y=change(frame["y"], pd.Series(draw.random(2000) < 0.2)))
    findings = found(check_frame(changed, contract, DataSettings(target="y")))
    assert findings == [("y", "out_of_range", blocking) for blocking in blocks]


def test_a_new_class_is_told_and_blocks_only_when_it_is_most():
    frame = customers(1)
    for share, blocks in ((0.01, False), (0.3, False), (0.6, True)):
        labels = np.where(np.arange(len(frame)) < share * len(frame), 2, frame["churned"].fillna(0).astype(int))
        assert found(value_findings(frame.assign(churned=labels))) == [("churned", "impossible_target", blocks)]


def test_no_rows_is_a_finding():
    table = table_of(customers(), "t")
    (finding,) = check_values(table, CONTRACT, SETTINGS, Window(5000, None))
    assert (finding.finding, finding.blocking, finding.column) == ("empty", True, "")
    assert "t: no rows between 5000 and None" in finding.text


def test_a_window_is_all_that_is_looked_at():
    frame = customers(1)
    frame.loc[1000:, "age"] = -999.0
    table = table_of(frame, "t")
    assert check_values(table, CONTRACT, SETTINGS, Window(None, 1000)) == ()
    findings = found(check_values(table, CONTRACT, SETTINGS, Window(1000, None)))
    assert sorted(findings) == [("age", "constant", True), ("age", "out_of_range", True)]


def test_a_batch_from_csv_keeps_its_contract_with_a_reference_from_memory(tmp_path):
    customers(5).to_csv(tmp_path / "now.csv", index=False)
    table = open_text(tmp_path, (tmp_path / "now.csv").read_text())
    assert check_table(table, CONTRACT, SETTINGS) == check_values(table, CONTRACT, SETTINGS) == ()


def test_a_finding_says_what_to_change():
    finding = Finding("a", "constant", "text", 1.0, None, "data.exclude", False)
    raise_findings([finding], "somewhere")
    with pytest.raises(DataError, match=r"- text \(data\.exclude\)"):
        raise_findings([Finding("a", "constant", "text", 1.0, None, "data.exclude", True)], "somewhere")
