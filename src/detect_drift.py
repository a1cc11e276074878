"""Is the world still what the model learned?

The live model against the rows it has not seen, with the settings of config.toml:

    python src/detect_drift.py

Any two tables, without a configuration or a model:

    python src/detect_drift.py --reference last_year.csv --current today.parquet
    python src/detect_drift.py --reference a.parquet --current b.parquet --target churned --html report.html
    python src/detect_drift.py --reference a.csv --current b.csv --json --exit-code

A saved profile, a few kB a column whatever the rows, stands for its table; each machine can take that of its part:

    python src/detect_drift.py --reference last_year.parquet --profile-out reference.json
    python src/detect_drift.py --reference reference.json --current part_7.parquet --profile-out part_7.json
    python src/detect_drift.py --reference reference.json --current part_*.json

A column has drifted when its change is both sure (significant after correction over all columns) and material
(KS distance >= 0.10, PSI >= 0.20, one group of values gained or lost 5 % of the rows, or the missing rate moved by
5 points). Everything that decides can be set: --set drift.min_ks=0.2, or a file with --config.

From a notebook: from detect_drift import check_data_drift, check_model_performance_drift
"""

import argparse
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import utils
from evergreen.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa

    from evergreen.data.sources import Table
    from evergreen.drift.performance_check import PerformanceCheck
    from evergreen.drift.profile import Profile
    from evergreen.drift.verdict import DriftReport
    from evergreen.monitoring.accounts import Account
    from evergreen.registry.store import Store
    from evergreen.settings import Settings

logger = logging.getLogger("evergreen.detect_drift")


def check_data_drift(
    reference: "str | Path | pd.DataFrame | pa.Table",
    current: "str | Path | pd.DataFrame | pa.Table",
    settings: "Settings | None" = None,
    target: str = "",
) -> "DriftReport":
    """Compare two tables: paths, database URLs, pandas frames or arrow tables. Printing the result tells the finding.

    `report.verdict` is "drift", "no_drift" or "not_enough_evidence", `report.drifted` names the columns. Without
    settings the defaults hold. The column `target`, where both have it, is judged apart from the features.

    >>> import pandas as pd
    >>> reference = pd.DataFrame({"age": [*range(20, 70)] * 10, "plan": ["basic", "plus"] * 250})
    >>> report = check_data_drift(reference, reference.assign(age=reference.age + 10))
    >>> report.verdict, report.drifted
    ('drift', ('age',))
    >>> str(report).splitlines()[0]
    'DATA DRIFT DETECTED!'
    """
    from evergreen.data.sources import table_of
    from evergreen.drift.tables import compare_tables
    from evergreen.settings import Settings

    settings = settings or Settings()
    before, after = (
        open_data([str(data)], settings) if isinstance(data, str | Path) else table_of(data, name, settings.data)
        for data, name in ((reference, "reference"), (current, "current"))
    )
    return compare_tables(before, after, settings, target)


def open_data(sources: "Sequence[str]", settings: "Settings") -> "Table | Profile":
    """The table of a source, or the profile in files that `--profile-out` has written; several of these are added."""
    from evergreen.data.sources import open_table
    from evergreen.drift.saved import find_saved, load_profile

    saved = [find_saved(source, Path.cwd()) for source in sources]
    if all(saved):
        return load_profile([file for files in saved for file in files])
    if len(sources) == 1:
        return open_table(sources[0], settings.data, Path.cwd())
    table = next(source for source, files in zip(sources, saved, strict=True) if not files)
    raise UsageError(f"{table} is a table; several files are read as one table from a folder or a quoted pattern.")


@dataclass(frozen=True)
class TableState:
    """How far a table has grown, to see in the next run whether there is anything new.

    `content` is the digest of the rows that were looked at, for two tables without a time: there a file may be
    replaced by one of the same size.
    """

    rows: int
    labelled_rows: int
    newest: str | int | None
    content: str = ""


@dataclass(frozen=True)
class Detection:
    """The verdict on the rows that the live model has not seen, and how many there are.

    `lacking` says in words why no challenger can be trained on them yet; empty when one can. `account` tells what the
    decisions have cost whose labels are complete; None where that can't be told.
    """

    report: "DriftReport"
    new_rows: int
    new_labelled_rows: int
    table: TableState
    lacking: str = ""
    account: "Account | None" = None

    @property
    def blocked(self) -> bool:
        """Whether the new rows can't be trusted, so that nothing may be trained or exchanged because of them."""
        return any(finding.blocking for finding in self.report.quality)


def detect(settings: "Settings", store: "Store", table: "Table") -> Detection:
    """Hold the rows that the live model has not seen against its card: inputs, answers, outcomes, performance.

    Reads the model's contract, profiles and baseline from its card and of the table only the new rows.
    Raises `DataError`, naming all problems, when the table is not of the form the model learned from.
    """
    from evergreen.data.batches import read_batch
    from evergreen.data.rows import digest_rows
    from evergreen.data.schema import conform
    from evergreen.data.windows import current_window, find_maturity, lacks_labels, read_timeline
    from evergreen.drift.columns import compare_profiles
    from evergreen.drift.in_time import profile_current, season_note
    from evergreen.drift.profile import Profile
    from evergreen.drift.soundness import find_missing
    from evergreen.drift.verdict import conclude
    from evergreen.monitoring.accounts import open_account
    from evergreen.monitoring.estimating import estimate_waiting, find_judged
    from evergreen.monitoring.judging import check_form, check_rows, judge_answers, judge_outcomes, judge_together
    from evergreen.registry.describing import kinds_of, last_key_of, open_model
    from evergreen.scoring.predictions import predict

    model, card = open_model(store)
    findings = check_form(settings, table, model.contract, card)
    timeline, seen_until = read_timeline(table, settings.data), last_key_of(card, table)
    state = TableState(table.rows, int(timeline.labelled.sum()), key_of(timeline.keys[-1]))
    window = current_window(timeline, seen_until, settings.data)
    batch = read_batch(table, window, model.contract.features, settings.data, card.task)
    reference = Profile.from_dict(card.profile)
    current = profile_current(table, kinds_of(model.contract), reference, settings.drift, window=window)
    columns = compare_profiles(reference, current, settings.drift)
    if len(batch) == 0:
        report = conclude(reference, current, columns, settings.drift, season=season_note(current))
        return Detection(report, 0, 0, state)
    if table.current is not None and not table.time:
        state = replace(state, content=digest_rows(batch.frame))
    current = replace(current, start=str(key_of(batch.keys[0])), stop=str(key_of(batch.keys[-1])))
    findings += check_rows(settings, table, timeline, window, batch, model.contract)
    findings += find_missing(columns, settings.data)
    answers = predict(model.estimator, conform(batch.frame, model.contract), card.task, model.contract.classes)
    maturity = find_maturity(timeline, window, settings.data)
    estimate, scored = estimate_waiting(settings, store.entries(), table, model, card, batch, answers, maturity)
    report = conclude(
        reference,
        current,
        columns,
        settings.drift,
        quality=findings,
        importances=card.importances,
        joint=judge_together(settings, card, table, batch, reference, current),
        estimate=estimate,
        scored=scored,
        **judge_answers(settings, card, batch, answers, current),
        **judge_outcomes(settings, card, batch, answers, maturity),
    )
    lacking = lacks_labels(timeline, settings.data, settings.training, seen_until)
    judged = find_judged(batch, answers, maturity, settings.performance.max_drop)
    account = open_account(settings, card, batch.rows(judged), answers.take(judged))
    return Detection(report, len(batch), int(batch.labelled.sum()), state, lacking, account)


def key_of(key: Any) -> str | int | None:
    """A row's time or number as plain JSON."""
    from evergreen.data.windows import key_to_json, to_key

    return key_to_json(to_key(key))


def check_model_performance_drift(
    model: Any, X_test: Any, y_test: Any, baseline_accuracy: float, threshold: float = 0.05
) -> "PerformanceCheck":
    """Has the model become worse on labelled rows? See `evergreen.drift.performance_check`, which does it."""
    from evergreen.drift.performance_check import check_model_performance_drift as check

    return check(model, X_test, y_test, baseline_accuracy, threshold)


def exit_code(report: "DriftReport") -> int:
    """The verdict as an exit code, for `--exit-code`."""
    if report.lost or report.verdict == "drift":
        return ExitCode.DRIFT
    return ExitCode.NOT_ENOUGH_EVIDENCE if report.verdict == "not_enough_evidence" else ExitCode.OK


def body(arguments: argparse.Namespace) -> int:
    """One run: read, compare, show."""
    from evergreen.drift.verdict import to_document

    if arguments.profile_out and not arguments.reference:
        raise UsageError("--profile-out saves the profile of --current, or of --reference alone: name one.")
    if arguments.profile_out and not arguments.current:
        return save_reference(arguments)
    if bool(arguments.reference) != bool(arguments.current):
        raise UsageError("--reference and --current go together: name both tables, or none for the live model.")
    report = check_files(arguments) if arguments.reference else check_live_model(arguments)
    document = to_document(report)
    if arguments.html:
        from evergreen.files import write_atomic
        from evergreen.reporting.html import render_html

        write_atomic(arguments.html, render_html(document))
        logger.info("The report is in %s.", arguments.html)
    if not arguments.reference:
        utils.tell_github(document)
    utils.show(document, arguments)
    live = not arguments.reference
    if (live or arguments.exit_code) and any(finding.blocking for finding in report.quality):
        return ExitCode.BAD_DATA
    return exit_code(report) if arguments.exit_code else ExitCode.OK


def check_files(arguments: argparse.Namespace) -> "DriftReport":
    """Two tables, or profiles of them, from the command line."""
    from evergreen.config_file import load
    from evergreen.drift.tables import compare_tables

    settings = load(arguments.config, os.environ, tuple(arguments.set))
    outputs, sources = [arguments.html, arguments.profile_out], [*arguments.reference, *arguments.current]
    utils.keep_inputs(outputs, arguments, sources, Path.cwd())
    before, after = (open_data(sources, settings) for sources in (arguments.reference, arguments.current))
    return compare_tables(before, after, settings, arguments.target, profile_out=arguments.profile_out)


def save_reference(arguments: argparse.Namespace) -> int:
    """`--reference A --profile-out FILE`: nothing is compared."""
    from evergreen.config_file import load
    from evergreen.drift.profile import Profile
    from evergreen.drift.saved import save_profile
    from evergreen.drift.tables import profile_as_reference

    settings = load(arguments.config, os.environ, tuple(arguments.set))
    utils.keep_inputs([arguments.profile_out], arguments, arguments.reference, Path.cwd())
    data = open_data(arguments.reference, settings)
    save_profile(data if isinstance(data, Profile) else profile_as_reference(data, settings), arguments.profile_out)
    return ExitCode.OK


def check_live_model(arguments: argparse.Namespace) -> "DriftReport":
    """The live model and the table of the settings; only reads, so it needs no lock."""
    from evergreen.data.sources import open_tables
    from evergreen.registry.store import Store

    settings = utils.settings_from(arguments)
    utils.keep_inputs([arguments.html], arguments, settings.data.sources, settings.root)
    store = Store.of(settings)
    return detect(settings, store, open_tables(settings.data, settings.root)).report


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = utils.parser(__doc__)
    where = "file, folder, glob or URL of a table, or saved profiles"
    parser.add_argument("--reference", metavar="A", nargs="+", help=f"what the model learned from: {where}")
    parser.add_argument("--current", metavar="B", nargs="+", help="what there is now, likewise")
    parser.add_argument("--profile-out", metavar="FILE", type=Path, help="save the profile of B; of A, without B")
    parser.add_argument("--target", metavar="T", default="", help="the column that is predicted; judged apart")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report as one self-contained page")
    parser.add_argument(
        "--deep",
        action="append_const",
        dest="set",
        const="drift.deep=true",
        help="let a classifier look for any other difference of the rows, which takes seconds",
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="exit with 10 on drift, 11 without enough evidence, 3 on bad data"
    )
    return utils.run(body, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
