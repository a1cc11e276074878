"""What a request may hold: everything else is refused by row and feature, never guessed at."""

import json
import math

import numpy as np
import pytest
from tests.serving.small_store import GOOD_ROW, contract_of, customers

from evergreen.serving.rows import MAX_PROBLEMS, RequestError, features_of, parse_json, rows_of, unseen_categories


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return contract_of(customers(), tmp_path_factory.mktemp("rows"))


def refusal(function, *arguments):
    with pytest.raises(RequestError) as caught:
        function(*arguments)
    return caught.value


# The body


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{", "not JSON"),
        (b'{"rows": [}', "not JSON"),
        (b"{} {}", "not JSON: Extra data"),
        (b"{'rows': []}", "not JSON"),
        (b'{"row": {"age": NaN}}', "NaN is no JSON value; send null for a missing value"),
        (b'{"row": {"age": Infinity}}', "Infinity is no JSON value"),
        (b'{"row": {"age": -Infinity}}', "-Infinity is no JSON value"),
        (b'{"row": {"age": 1, "age": 2}}', "the same key twice"),
        (b'{"row": {}, "row": {}}', "the same key twice"),
        (b'{"row": {"age": 0x10}}', "not JSON"),
        (b'{"row": {"age": 007}}', "not JSON"),
        (b'{"row": {"age": .5}}', "not JSON"),
        (b'{"row": {"plan": "a\x01b"}}', "not JSON: Invalid control character"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 (byte 0)"),
        (b'{"row": {"plan": "\xe4"}}', "not UTF-8 (byte 18)"),
        ("﻿{}".encode(), "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"row": {"age": ' + b"9" * 5000 + b"}}", "a number with too many digits"),
        (b"\x80\x04\x95K.", "not UTF-8"),  # a pickle
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(body, detail):
    error = refusal(parse_json, body)
    assert error.status == 400
    assert detail in error.detail


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (None, "Expected"),
        (3, "Expected"),
        ([], "Expected"),
        ({}, "Expected"),
        (GOOD_ROW, "Expected"),
        ({"rows": [GOOD_ROW], "row": GOOD_ROW}, "nothing beside it"),
        ({"rows": [GOOD_ROW], "model": "v1"}, "nothing beside it"),
        ({"rows": GOOD_ROW}, "in the place of a row"),
        ({"rows": [GOOD_ROW, [1, 2]]}, "in the place of a row"),
        ({"row": [GOOD_ROW]}, "in the place of a row"),
        ({"row": None}, "in the place of a row"),
        ({"rows": []}, "Expected 1 to 5 rows, found 0"),
        ({"rows": [GOOD_ROW] * 6}, "Expected 1 to 5 rows, found 6"),
    ],
)
def test_a_document_of_another_shape_is_refused(document, detail):
    error = refusal(rows_of, document, 5)
    assert error.status == 422
    assert detail in error.detail


def test_one_row_and_many_rows_are_the_same_to_the_model():
    assert rows_of({"row": GOOD_ROW}, 5) == rows_of({"rows": [GOOD_ROW]}, 5) == [GOOD_ROW]


# The rows


def test_good_rows_become_the_frame_that_training_saw(contract):
    frame = features_of([GOOD_ROW, {**GOOD_ROW, "age": 18.0, "income": None, "member": None, "plan": None}], contract)
    assert list(frame.columns) == list(contract.features) == ["age", "income", "member", "plan"]
    assert frame["age"].tolist() == [42.0, 18.0]
    assert frame["member"].tolist()[0] == 1.0
    assert frame["plan"].tolist()[0] == "basic"
    assert frame.iloc[1].isna().tolist() == [False, True, True, True]


NUMBER, TRUTH, CATEGORY = "a finite number or null", "true, false or null", "text, a number or null"


@pytest.mark.parametrize(
    ("feature", "value", "expected"),
    [
        ("age", "42", NUMBER),
        ("age", "", NUMBER),
        ("age", True, NUMBER),
        ("age", [42], NUMBER),
        ("age", {"value": 42}, NUMBER),
        ("age", math.inf, NUMBER),  # 1e400 arrives as this
        ("age", 10**400, NUMBER),
        ("member", "true", TRUTH),
        ("member", 2, TRUTH),
        ("member", 0.5, TRUTH),
        ("member", [], TRUTH),
        ("plan", ["basic"], CATEGORY),
        ("plan", {}, CATEGORY),
        ("plan", "\ud800", CATEGORY),  # half a surrogate pair
        ("plan", math.inf, CATEGORY),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_row_and_feature(contract, feature, value, expected):
    error = refusal(features_of, [GOOD_ROW, {**GOOD_ROW, feature: value}], contract)
    assert error.status == 422
    assert [(each.row, each.feature, each.problem) for each in error.problems] == [(1, feature, f"expected {expected}")]


@pytest.mark.parametrize("value", [0, 1, -0.0, 1e308, 5e-324, -1, 2**53 + 1])
def test_every_finite_number_is_a_number(contract, value):
    assert features_of([{**GOOD_ROW, "age": value}], contract)["age"].tolist() == [float(value)]


@pytest.mark.parametrize("value", ["basic", "", "NA", "null", "a\x00b", "Ünïcödé 🌲", "=cmd()", 7, 7.5, True])
def test_every_text_or_number_may_be_a_category(contract, value):
    assert isinstance(features_of([{**GOOD_ROW, "plan": value}], contract)["plan"].tolist()[0], str)


@pytest.mark.parametrize("value", [True, 1, 1.0])
def test_truth_may_be_sent_as_zero_and_one(contract, value):
    assert features_of([{**GOOD_ROW, "member": value}], contract)["member"].tolist() == [1.0]


def test_a_missing_feature_is_named(contract):
    row = {name: value for name, value in GOOD_ROW.items() if name != "income"}
    error = refusal(features_of, [row], contract)
    assert error.problems[0].problem == "is missing; expected a finite number or null"
    assert (error.problems[0].row, error.problems[0].feature) == (0, "income")


def test_an_unknown_feature_is_named_with_the_nearest_known_one(contract):
    error = refusal(features_of, [{**GOOD_ROW, "incomes": 3}], contract)
    assert error.problems[0].problem == "the model does not know this feature; did you mean 'income'?"
    assert (error.problems[0].row, error.problems[0].feature) == (0, "incomes")


def test_other_columns_of_the_reference_may_be_sent_and_are_passed_over(contract):
    row = {**GOOD_ROW, "customer_id": 17, "churned": 1}
    assert list(features_of([row], contract).columns) == list(contract.features)


def test_all_problems_are_counted_and_the_first_ones_of_every_feature_listed(contract):
    rows = [{**GOOD_ROW, "age": "x", "member": "y", f"odd_{number}": 1} for number in range(1000)]
    error = refusal(features_of, rows, contract)
    assert error.total == 3000
    assert len(error.problems) == MAX_PROBLEMS
    assert {each.feature for each in error.problems[:3]} == {"age", "member", "odd_0"}
    assert [each.row for each in error.problems] == sorted(each.row for each in error.problems)


def test_an_answer_never_repeats_a_value_and_cuts_long_names(contract):
    rows = [{**GOOD_ROW, "age": "SECRET", "n" * 5000: "SECRET", "\ud800": "SECRET"}]
    error = refusal(features_of, rows, contract)
    text = json.dumps([vars(each) for each in error.problems]) + error.detail
    assert "SECRET" not in text
    assert len(text) < 1000
    text.encode()  # and it can be sent


# What is only worth a warning


def test_a_category_never_seen_is_found_by_row(contract):
    plans = ["basic", "gold", None, "pro", "silver"]
    frame = features_of([{**GOOD_ROW, "plan": plan} for plan in plans], contract)
    found = unseen_categories(frame, contract)
    assert {name: rows.tolist() for name, rows in found.items()} == {"plan": [1, 4]}


def test_known_categories_are_not_worth_a_warning(contract):
    frame = features_of([{**GOOD_ROW, "plan": plan} for plan in ("basic", "plus", "pro", None)], contract)
    assert unseen_categories(frame, contract) == {}


def test_training_and_serving_see_the_very_same_frame(contract):
    from evergreen.data.schema import conform

    table = customers(50, seed=3)
    records = json.loads(table.drop(columns=["churned", "customer_id"]).to_json(orient="records"))
    served, trained = features_of(records, contract), conform(table, contract)
    for name in contract.features:
        assert served[name].dtype == trained[name].dtype
        assert np.array_equal(served[name].to_numpy(), trained[name].to_numpy(), equal_nan=name != "plan")
