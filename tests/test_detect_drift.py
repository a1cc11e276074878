"""The command and the notebook functions: two tables in, one verdict out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detect_drift import check_data_drift, check_model_performance_drift, main
from evergreen.errors import DataError, UsageError
from evergreen.settings import DriftSettings, Settings

SRC = Path(__file__).parent.parent / "src"


def customers(rows, seed, shift=0.0, missing=0.02):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"c{seed}{i:06d}" for i in range(rows)],
            "age": rng.integers(18, 90, rows),
            "income": np.where(rng.random(rows) < missing, np.nan, rng.lognormal(10 + shift, 0.4, rows).round(2)),
            "plan": rng.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2]),
            "active": rng.random(rows) < 0.7,
            "seen": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "churned": rng.choice(["no", "yes"], rows, p=[0.8, 0.2]),
        }
    )


@pytest.fixture
def files(tmp_path):
    tables = {"a": customers(3000, 1), "same": customers(1500, 2), "moved": customers(1500, 3, shift=0.5)}
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    customers(40, 4).to_csv(tmp_path / "few.csv", index=False)
    return tmp_path


def run_json(capsys, *arguments):
    code = main([*map(str, arguments), "--json", "-q"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("current", "verdict", "code"),
    [("same.csv", "no_drift", 0), ("moved.parquet", "drift", 10), ("few.csv", "not_enough_evidence", 11)],
)
def test_two_bare_files_get_a_verdict_and_an_exit_code(files, capsys, current, verdict, code):
    pair = ["--reference", files / "a.parquet", "--current", files / current]
    found, document = run_json(capsys, *pair, "--exit-code")
    assert (found, document["verdict"]) == (code, verdict)
    assert run_json(capsys, *pair)[0] == 0


@pytest.mark.parametrize("one", ["csv", "parquet"])
@pytest.mark.parametrize("other", ["csv", "parquet"])
def test_flags_written_in_words_are_flags_in_any_file(tmp_path, capsys, one, other):
    rng = np.random.default_rng(1)
    for name, share, ending in (("before", 0.3, one), ("same", 0.3, other), ("more", 0.5, other)):
        table = pd.DataFrame({"flag": np.where(rng.random(2000) < share, "TRUE", "FALSE"), "x": rng.normal(size=2000)})
        path = tmp_path / f"{name}.{ending}"
        table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    before = ["--reference", tmp_path / f"before.{one}"]
    for name, verdict in (("same", "no_drift"), ("more", "drift")):
        _, document = run_json(capsys, *before, "--current", tmp_path / f"{name}.{other}")
        assert (document["verdict"], document["quality"]) == (verdict, [])


@pytest.mark.parametrize(
    ("broken", "target"),
    [
        (lambda rows: rows.drop(columns="income"), ""),
        (lambda rows: rows.assign(income=np.nan), ""),
        (lambda rows: rows.assign(income=42.0), ""),
        (lambda rows: rows.assign(income=rows["income"].where(rows.index % 2 == 0, -999_999)), ""),
        (lambda rows: rows.assign(churned=np.arange(len(rows)) / 7), "churned"),
    ],
    ids=["gone", "empty", "stuck", "sentinel", "target retyped"],
)
def test_bad_data_between_two_files_has_an_exit_code_of_its_own(files, capsys, broken, target):
    broken(pd.read_parquet(files / "same.parquet")).to_parquet(files / "broken.parquet")
    pair = ["--reference", files / "a.parquet", "--current", files / "broken.parquet", "--target", target]
    code, document = run_json(capsys, *pair, "--exit-code")
    assert (code, document["retraining_recommended"]) == (3, False)
    assert any(finding["blocking"] for finding in document["quality"])
    assert run_json(capsys, *pair)[0] == 0


def test_the_drifted_column_is_named_and_no_other(files, capsys):
    main(["--reference", str(files / "a.csv"), "--current", str(files / "moved.csv")])
    said = capsys.readouterr().out
    assert "DATA DRIFT DETECTED!" in said and "RETRAINING RECOMMENDED" in said
    document = run_json(capsys, "--reference", files / "a.csv", "--current", files / "moved.csv")[1]
    assert [column["name"] for column in document["columns"] if column["status"] == "drift"] == ["income"]
    kinds = {column["name"]: column["kind"] for column in document["columns"]}
    assert (kinds["customer_id"], kinds["active"], kinds["seen"]) == ("text", "boolean", "time")


def without_sources(document):
    return {name: value for name, value in document.items() if name not in ("reference", "current")}


def test_file_format_order_of_rows_and_of_columns_do_not_matter(files, capsys):
    straight = run_json(capsys, "--reference", files / "a.parquet", "--current", files / "moved.parquet")[1]
    shuffled = pd.read_parquet(files / "moved.parquet").sample(frac=1, random_state=1).iloc[:, ::-1]
    shuffled.to_csv(files / "shuffled.csv", index=False)
    for reference, current in (("a.csv", "moved.csv"), ("a.parquet", "shuffled.csv"), ("a.csv", "moved.parquet")):
        other = run_json(capsys, "--reference", files / reference, "--current", files / current)[1]
        assert without_sources(other) == without_sources(straight)


def test_row_groups_do_not_matter(files, capsys):
    pq.write_table(pq.read_table(files / "moved.parquet"), files / "pieces.parquet", row_group_size=97)
    whole = run_json(capsys, "--reference", files / "a.csv", "--current", files / "moved.parquet")[1]
    pieces = run_json(capsys, "--reference", files / "a.csv", "--current", files / "pieces.parquet")[1]
    assert without_sources(pieces) == without_sources(whole)


def test_the_target_is_judged_apart(files, capsys):
    arguments = ["--reference", files / "a.csv", "--current", files / "same.csv", "--target", "churned"]
    document = run_json(capsys, *arguments)[1]
    assert "churned" not in [column["name"] for column in document["columns"]]
    assert document["target"]["verdict"] == "no_drift"
    assert [column["name"] for column in document["target"]["columns"]] == ["churned"]
    pd.read_csv(files / "same.csv").drop(columns="churned").to_csv(files / "unlabelled.csv", index=False)
    arguments[3] = files / "unlabelled.csv"
    document = run_json(capsys, *arguments)[1]
    assert document["target"] is None and document["quality"] == []


def test_an_unknown_target_or_one_file_alone_is_a_usage_error(files, capsys):
    assert main(["--reference", str(files / "a.csv"), "--current", str(files / "a.csv"), "--target", "churn"]) == 2
    assert "no column 'churn' (--target)" in capsys.readouterr().err
    assert main(["--reference", str(files / "a.csv")]) == 2
    assert "--reference and --current go together" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_bad_data(files, capsys):
    assert main(["--reference", str(files / "a.csv"), "--current", str(files / "nowhere.csv")]) == 3
    assert "nowhere.csv" in capsys.readouterr().err


def test_settings_can_be_overridden(files, capsys):
    pair = ["--reference", files / "a.csv", "--current", files / "moved.csv"]
    rules = 'drift.rules=[{"columns": "inc*", "statistic": "mean_shift"}]'
    document = run_json(capsys, *pair, "--set", rules)[1]
    income = next(column for column in document["columns"] if column["name"] == "income")
    assert (income["statistic"], income["threshold"], income["status"]) == ("mean_shift", 2.0, "watch")


def test_the_html_report_is_written(files, capsys):
    target = files / "reports" / "drift.html"
    arguments = ["--reference", str(files / "a.csv"), "--current", str(files / "moved.csv"), "--html", str(target)]
    assert main(arguments) == 0
    page = target.read_text()
    assert "income" in page and page.lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "words",
    [
        "--reference a.csv --current moved.csv --html moved.csv",
        "--reference a.csv --current moved.csv --html ./a.csv",
        "--reference a.csv --current m*.csv --html moved.csv",
        "--reference folder --current moved.csv --html folder/b.csv",
        "--reference a.csv --current moved.csv --html link.csv",
        "--reference a.csv --current moved.csv --config shop.toml --html shop.toml",
        "--reference a.csv --current moved.csv --profile-out moved.csv",
        "--reference ref.json --current moved.csv --profile-out ref.json",
        "--reference ref.json --profile-out ref.json",
        "--reference a.csv --profile-out a.csv",
        "--reference a.csv --current sqlite:///shop.db --set data.query=x --html shop.db",
        "--config shop.toml --html a.csv",
    ],
)
def test_no_output_is_written_over_an_input(files, capsys, monkeypatch, words):
    monkeypatch.chdir(files)
    assert main(["--reference", "a.csv", "--profile-out", "ref.json", "-q"]) == 0
    (files / "folder").mkdir()
    (files / "folder" / "b.csv").write_bytes((files / "a.csv").read_bytes())
    (files / "link.csv").symlink_to("moved.csv")
    (files / "shop.db").write_text("rows")
    (files / "shop.toml").write_text('[data]\nsource = "a.csv"\n')
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    assert main(words.split()) == 2
    out = words.split()[-1].removeprefix("./")
    assert f"{out} is an input of this run, and would be lost: name another file." in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def test_in_github_actions_a_look_at_the_live_model_tells_the_steps_after_it(tmp_path, monkeypatch, files):
    from projects import make_project, world, write_table

    import monitor

    config = make_project(tmp_path / "project", world(2000))
    assert monitor.main(["--config", str(config), "-q"]) == 0
    write_table(config.parent, pd.concat([world(2000), world(2000, start="2025-02-01", seed=2)]))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert main(["--reference", str(files / "a.csv"), "--current", str(files / "same.csv"), "-q"]) == 0
    assert not (tmp_path / "outputs").exists()
    assert main(["--config", str(config), "-q"]) == 0
    assert "drift=no_drift\n" in (tmp_path / "outputs").read_text()
    assert (tmp_path / "summary").read_text().startswith("## ")


def test_frames_tables_and_paths_can_be_compared_from_a_notebook(files):
    reference = pd.read_parquet(files / "a.parquet")
    for current in (customers(1500, 3, shift=0.5), pa.Table.from_pandas(customers(1500, 3, shift=0.5))):
        report = check_data_drift(reference, current)
        assert (report.verdict, report.drifted) == ("drift", ("income",))
        assert "DATA DRIFT DETECTED!" in str(report)
    report = check_data_drift(str(files / "a.csv"), files / "same.parquet", target="churned")
    assert (report.verdict, report.target.verdict) == ("no_drift", "no_drift")
    assert "DRIFT DETECTED" not in str(report)


def test_a_notebook_can_bring_its_own_settings():
    settings = Settings(drift=DriftSettings(min_ks=0.9, min_psi=9.0, min_group=0.9))
    assert check_data_drift(customers(3000, 1), customers(1500, 3, 0.5), settings).verdict == "no_drift"


def test_missing_extra_and_broken_columns_are_told_and_the_rest_is_judged():
    reference = customers(3000, 1)
    current = customers(1500, 3, 0.5).drop(columns="plan").assign(age="old", new=1.0)
    report = check_data_drift(reference, current)
    statuses = {column.name: column.status for column in report.columns}
    assert (statuses["plan"], statuses["age"], statuses["income"]) == ("invalid", "invalid", "drift")
    assert not report.retraining_recommended
    findings = {(finding.column, finding.finding, finding.blocking) for finding in report.quality}
    wanted = {("plan", "incomparable", True), ("age", "incomparable", True), ("new", "extra_column", False)}
    assert findings == wanted | {("income", "out_of_range", False)}


def test_values_of_another_type_are_shown_those_first_that_are_no_numbers(files, capsys):
    current = customers(1500, 3)
    words = current["age"].astype(str).mask(current.index % 100 == 7, "oops").mask(current.index == 1400, "NA")
    reasons = {}
    for name, frame in {"text": current.assign(age=words), "lists": current.assign(age=[[1]] * 1500)}.items():
        frame.to_parquet(files / f"{name}.parquet")
        document = run_json(capsys, "--reference", files / "a.csv", "--current", files / f"{name}.parquet")[1]
        reasons[name] = next(column["reason"] for column in document["columns"] if column["name"] == "age")
    assert reasons["text"].endswith("holds values of type string, numbers were expected: 'oops', 'NA'.")
    assert "numbers were expected: '[1]'" in reasons["lists"]


def test_one_odd_column_of_a_frame_hides_none_of_the_others():
    odd = pd.Series([1, "a", 2**70] * 1000, dtype=object)
    report = check_data_drift(customers(3000, 1).assign(odd=odd), customers(1500, 3, 0.5).assign(odd=odd[:1500]))
    assert report.drifted == ("income",)
    assert {column.name: column.kind for column in report.columns}["odd"] == "category"


def test_arrays_and_frames_without_rows_are_refused_in_words():
    with pytest.raises(
        UsageError, match=r"reference: expected a pandas DataFrame, an Arrow table, or the path .* ndarray"
    ):
        check_data_drift(np.zeros((500, 2)), np.zeros((500, 2)))
    empty = customers(10, 1).iloc[:0]
    with pytest.raises(DataError, match=r"reference: the table has columns \(.*\) but no rows"):
        check_data_drift(empty, empty)


def test_tables_without_a_common_column_are_refused():
    with pytest.raises(DataError, match="has no column of reference"):
        check_data_drift(pd.DataFrame({"a": [1.0] * 200}), pd.DataFrame({"b": [1.0] * 200}))


def test_the_performance_check_keeps_its_well_known_signature():
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [0, 1])
    check = check_model_performance_drift(model, [[0]] * 200, [1] * 120 + [0] * 80, 0.9, threshold=0.05)
    assert (check.verdict, check.drifted) == ("severe", True)


@pytest.mark.parametrize("folder", [SRC, SRC.parent], ids=["src", "root"])
def test_the_command_works_from_anywhere(files, folder):
    command = [sys.executable, str(SRC / "detect_drift.py"), "--reference", str(files / "a.parquet")]
    done = subprocess.run(
        [*command, "--current", str(files / "moved.csv"), "--json", "--exit-code"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")},
    )
    assert done.returncode == 10, done.stderr
    assert json.loads(done.stdout)["verdict"] == "drift"


def test_two_parquet_files_are_compared_without_the_slow_libraries(files):
    script = (
        "import sys, runpy; sys.argv = ['detect_drift.py', '--reference', 'a.parquet', '--current', 'same.parquet'];"
        f"sys.path.insert(0, {str(SRC)!r})\n"
        f"try: runpy.run_path({str(SRC / 'detect_drift.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "slow = {'pandas', 'scipy', 'sklearn', 'rich', 'jinja2', 'pyarrow.dataset', 'numpy.ma'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_looking_for_inputs_to_keep_hides_no_clear_error(files, capsys):
    """The name is too long for a file; `--html` names one that is there."""
    (files / "report.html").write_text("of yesterday")
    pair = ["--reference", "x" * 300 + ".csv", "--current", files / "a.csv"]
    assert main([*map(str, pair), "--html", str(files / "report.html")]) == 3
    assert "can't be reached" in capsys.readouterr().err
    assert (files / "report.html").read_text() == "of yesterday"
