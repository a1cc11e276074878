"""The verdict on a table: three values, severity, reasons, and the strict document."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from detect_drift import exit_code
from evergreen.data.quality import Finding
from evergreen.drift.blocks import BlockScore
from evergreen.drift.columns import ColumnDrift, compare_profiles
from evergreen.drift.deep import DeepDrift
from evergreen.drift.joint import JointDrift, PairDrift
from evergreen.drift.performance import PerformanceReport
from evergreen.drift.profile import Profile, profile_arrays
from evergreen.drift.verdict import conclude, grade_severity, to_document
from evergreen.errors import ExitCode
from evergreen.settings import DriftSettings

SETTINGS = DriftSettings()


def column(name, status="no_drift", importance=None, effect=0.02, p_value=0.5):
    return ColumnDrift(
        name,
        "number",
        status,
        f"{name} is {status}.",
        statistic="ks",
        effect=effect,
        threshold=0.1,
        p_value=p_value,
        p_adjusted=p_value,
        smallest_shift=0.15,
        importance=importance,
    )


def report_on(*columns, rows=1000, **more):
    return conclude(Profile({}, 5000, "old.csv"), Profile({}, rows, "new.csv"), columns, SETTINGS, **more)


def performance(verdict):
    return PerformanceReport(
        "accuracy",
        True,
        False,
        0.05,
        300,
        verdict=verdict,
        reasons=("Accuracy fell by 9 points.",),
        baseline=0.9,
        current=0.81,
        interval=(0.76, float("nan")),
        blocks=(BlockScore("2025-01-01", "2025-01-02", 300, 0.81, 0.76, 0.85),),
    )


@pytest.mark.parametrize(
    ("statuses", "rows", "verdict"),
    [
        (["drift", "no_drift"], 1000, "drift"),
        (["no_drift", "watch"], 1000, "no_drift"),
        (["watch"], 1000, "no_drift"),
        (["no_drift", "invalid"], 1000, "no_drift"),
        (["invalid", "skipped"], 1000, "not_enough_evidence"),
        (["not_enough_evidence"], 1000, "not_enough_evidence"),
        (["not_enough_evidence", "watch"], 80, "not_enough_evidence"),
        ([], 1000, "not_enough_evidence"),
    ],
)
def test_the_verdict_has_three_values(statuses, rows, verdict):
    columns = [column(f"c{i}", status) for i, status in enumerate(statuses)]
    assert report_on(*columns, rows=rows).verdict == verdict


@pytest.mark.parametrize(("drifted", "severity"), [(0, None), (1, "minor"), (2, "moderate"), (6, "major")])
def test_without_importances_severity_goes_by_the_share_of_columns(drifted, severity):
    columns = [column(f"c{i}", "drift" if i < drifted else "no_drift") for i in range(20)]
    columns += [column("skipped", "skipped"), column("broken", "invalid")]
    assert grade_severity(columns) == severity


@pytest.mark.parametrize(("weight", "severity"), [(0.05, "minor"), (0.2, "moderate"), (0.5, "major")])
def test_with_importances_severity_goes_by_what_the_model_uses(weight, severity):
    columns = column("moved", "drift"), column("calm")
    report = report_on(*columns, importances={"moved": weight, "calm": 1 - weight})
    assert report.severity == severity
    assert report.columns[0].importance == weight


def test_a_column_the_model_does_not_use_at_all_is_a_minor_drift():
    columns = column("unused", "drift"), column("used")
    assert report_on(*columns, importances={"used": 1.0}).severity == "minor"


def test_columns_come_by_impact():
    columns = [column("small", "drift", effect=0.2), column("calm"), column("large", "drift", effect=0.9)]
    columns += [column("broken", "invalid"), column("watched", "watch")]
    names = [one.name for one in report_on(*columns).columns]
    assert names == ["broken", "large", "small", "watched", "calm"]


def test_drift_is_told_in_the_words_of_the_field():
    report = report_on(column("age", "drift"), column("calm"))
    assert str(report).splitlines()[:3] == ["DATA DRIFT DETECTED!", "RETRAINING RECOMMENDED", "age: age is drift."]
    assert report.retraining_recommended and report.drifted == ("age",)


def test_no_drift_says_what_would_have_been_seen_and_what_to_watch():
    report = report_on(column("calm"), column("odd", "watch"))
    assert report.reasons == (
        "No material change in 2 columns. A shift of 0.15 standard deviations would have shown. Worth watching: odd.",
    )
    assert not report.retraining_recommended


def test_too_few_rows_say_how_many_are_needed():
    reason = report_on(column("a", "not_enough_evidence"), rows=40).reasons[-1]
    assert "5,000 in the reference and 40 now; 100 of each are needed (drift.min_rows)" in reason


def test_many_drifted_columns_do_not_flood_the_reasons():
    report = report_on(*[column(f"c{i}", "drift") for i in range(30)])
    assert len(report.reasons) == 6
    assert report.reasons[-1] == "And 25 more columns drifted. The drift is major."
    six = report_on(*[column(f"c{i}", "drift") for i in range(6)])
    assert six.reasons[-1].startswith("c5: ")  # one left over is named, not counted


def test_one_column_is_one_and_a_run_without_new_rows_is_no_lack_of_evidence():
    assert report_on(column("calm")).reasons[0].startswith("No material change in 1 column.")
    assert report_on(column("a", "not_enough_evidence"), rows=0).reasons == ("There are no new rows to judge.",)


def test_bad_data_is_named_and_is_no_reason_to_retrain():
    finding = Finding("age", "missing_column", "column 'age' is missing.", None, None, "data.source", True)
    report = report_on(column("plan", "drift"), column("age", "invalid"), quality=[finding])
    assert report.verdict == "drift" and not report.retraining_recommended
    assert "Data quality: column 'age' is missing." in report.reasons
    assert sum("age" in reason for reason in report.reasons) == 1


def test_columns_that_can_not_be_compared_are_named():
    report = report_on(column("calm"), column("age", "invalid"))
    assert report.reasons[0] == "age can't be compared: age is invalid."


def test_predictions_and_target_have_verdicts_of_their_own():
    report = report_on(column("calm"), predictions=[column("score", "drift")], target=[column("y", "watch")])
    assert (report.verdict, report.predictions.verdict, report.target.verdict) == ("drift", "drift", "no_drift")
    assert report.retraining_recommended
    assert "The prediction drifted (score): score is drift." in report.reasons
    assert str(report).splitlines()[:2] == ["PREDICTION DRIFT DETECTED!", "RETRAINING RECOMMENDED"]


def test_drift_of_the_target_alone_is_drift_and_no_reason_to_retrain():
    report = report_on(column("calm"), target=[column("y", "drift")], performance=performance("fine"))
    assert report.verdict == "drift" and exit_code(report) == ExitCode.DRIFT
    assert not report.retraining_recommended and report.severity is None
    assert str(report).splitlines()[0] == "TARGET DRIFT DETECTED!"
    assert "The target drifted (y): y is drift." in report.reasons
    assert report.diagnosis == report_on(column("calm"), performance=performance("fine")).diagnosis


@pytest.mark.parametrize("families", [{}, {"target": [column("y")]}, {"predictions": [column("score", "watch")]}])
def test_without_any_drift_the_exit_code_is_that_of_the_verdict(families):
    report = report_on(column("calm"), **families)
    assert report.verdict == "no_drift" and exit_code(report) == ExitCode.OK
    assert exit_code(report_on(column("a", "not_enough_evidence"), **families)) == ExitCode.NOT_ENOUGH_EVIDENCE


def pair(one, other, status="drift"):
    return PairDrift((one, other), 0.62, 0.11, 0.51, 1e-9, status)


def joint(*pairs, verdict="drift", deep=None):
    return JointDrift(verdict, 9, 9, 0.2, (5000, 1000), pairs, ("a and b.",), deep)


def test_relation_drift_is_drift_of_the_data_and_a_reason_to_retrain():
    report = report_on(column("age"), column("income"), joint=joint(pair("age", "income")))
    assert report.verdict == "drift" and report.relations_drifted and report.retraining_recommended
    assert str(report).splitlines()[0] == "DATA DRIFT DETECTED!"
    assert report.reasons[0] == (
        "Relation drift: age and income no longer go together as they did: "
        "correlation 0.62 before, 0.11 now (limit 0.2); p < 0.0001."
    )
    assert to_document(report)["joint"]["pairs"][0] == {
        "columns": ["age", "income"],
        "reference": 0.62,
        "current": 0.11,
        "change": 0.51,
        "p_adjusted": 1e-9,
        "status": "drift",
    }


def test_what_a_drifted_column_explains_is_no_further_reason():
    report = report_on(column("age", "drift"), column("income"), joint=joint(pair("age", "income")))
    assert not report.relations_drifted
    assert not any("Relation drift" in reason for reason in report.reasons)


def test_a_watched_pair_is_no_drift():
    watched = joint(pair("age", "income", "watch"), verdict="no_drift")
    report = report_on(column("age"), column("income"), joint=watched)
    assert report.verdict == "no_drift" and not report.retraining_recommended


def test_rows_that_a_classifier_tells_apart_are_drift_and_named_after_columns_alone():
    deep = DeepDrift("drift", 0.7, 20.0, 0.55, (900, 900), ({"name": "b", "importance": 1.0},), ("By b.",))
    calm = report_on(column("a"), column("b"), joint=joint(deep=deep))
    assert calm.relations_drifted and "By b." in calm.reasons
    assert to_document(calm)["joint"]["deep"]["columns"] == [{"name": "b", "importance": 1.0}]
    assert not report_on(column("a"), column("b", "drift"), joint=joint(deep=deep)).relations_drifted


@pytest.mark.parametrize(("verdict", "lost"), [("degraded", True), ("severe", True), ("breach", True)])
def test_a_loss_of_performance_is_a_reason_to_retrain(verdict, lost):
    report = report_on(column("calm"), performance=performance(verdict))
    assert report.retraining_recommended is lost
    assert str(report).startswith("PERFORMANCE DRIFT DETECTED!")
    assert "Accuracy fell by 9 points." in report.reasons


def test_a_model_that_holds_is_no_reason():
    report = report_on(column("calm"), performance=performance("fine"))
    assert not report.retraining_recommended


def test_the_document_is_strict_json_with_the_keys_of_the_contract():
    rng = np.random.default_rng(1)
    before = profile_arrays({"x": pa.array(rng.normal(size=500))}, {"x": "number"})
    after = profile_arrays({"x": pa.array(rng.normal(1, 1, 500))}, {"x": "number"}, against=before)
    columns = compare_profiles(before, after, SETTINGS)
    report = conclude(before, after, columns, SETTINGS, performance=performance("severe"), target=columns)
    document = to_document(report)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document) == [
        *(
            "format",
            "verdict",
            "severity",
            "diagnosis",
            "reasons",
            "retraining_recommended",
            "reference",
            "current",
            "columns",
        ),
        *("quality", "season", "joint", "predictions", "target", "performance", "estimate", "scored"),
    ]
    assert document["reference"] == {"rows": 500, "source": "", "from": None, "to": None}
    assert document["columns"][0]["p_adjusted"] == float(f"{columns[0].p_adjusted:.6g}")
    assert document["target"]["columns"] == document["columns"]
    assert document["performance"]["interval"] == [0.76, None]
    assert document["performance"]["blocks"][0]["from"] == "2025-01-01"
    assert document["predictions"] is None


def test_numbers_that_are_not_finite_never_reach_the_document():
    odd = replace(column("a"), effect=float("inf"), statistics={"ks": float("nan")})
    shown = to_document(report_on(odd))["columns"][0]
    assert shown["effect"] is None and shown["statistics"] == {"ks": None}
