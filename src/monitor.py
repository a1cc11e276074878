"""The whole loop, once: watch, decide, retrain, compare, deploy, record.

    python src/monitor.py                 with the settings of config.toml
    python src/monitor.py --dry-run       the same on a copy of the state: everything is done, nothing is changed
    python src/monitor.py --json          the result as strict JSON, for whatever comes next
    python src/monitor.py --exit-code     tell the outcome by the exit code as well

Run it every night, by hand, by cron, by scheduler.py or in CI. What it sees decides what it does: without a
live model it trains the first one; a predecessor that proves better on later labels takes its place back;
drift or loss lead to a challenger, and only a better one goes live.

Exit codes: 0 done, whatever was decided; 1 a fit failed or an unexpected error; 2 usage; 3 bad data, nothing
was trained; 4 integrity; 75 another run is going on; with --exit-code also 10 drift or loss, 11 not enough
evidence, 12 challenger rejected.
"""

import argparse
import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import continuous_training
import detect_drift
import utils
from continuous_training import Order, Retraining, Shadowing, retrain, train_shadow
from detect_drift import Detection, detect
from evergreen.errors import DataError, ExitCode, TrainingError

if TYPE_CHECKING:
    from evergreen.data.sources import Table
    from evergreen.monitoring.predecessor import Watch
    from evergreen.policy import Decision, Signals
    from evergreen.registry.store import Store
    from evergreen.settings import Settings
    from evergreen.training.fitting import Workshop

logger = logging.getLogger("evergreen.monitor")
ACTOR = "monitor"
STEPS = 4


@dataclass(frozen=True)
class MonitorResult:
    """One run: what was seen, decided and done; None where a step had no occasion."""

    first_model: Retraining | None = None
    watch: "Watch | None" = None
    detection: Detection | None = None
    signals: "Signals | None" = None
    decision: "Decision | None" = None
    retraining: Retraining | None = None
    shadowing: Shadowing | None = None

    @property
    def news(self) -> bool:
        """Whether there was something that no run had seen before."""
        return self.signals is None or self.signals.news

    @property
    def rolled_back(self) -> bool:
        """Whether the predecessor took its place back."""
        return self.watch is not None and self.watch.rolled_back

    @property
    def deployed(self) -> bool:
        """Whether a model trained in this run went live."""
        return any(each is not None and each.outcome == "deployed" for each in (self.first_model, self.retraining))


def monitor(
    settings: "Settings",
    store: "Store",
    run: str,
    now: datetime,
    table: "Table | None" = None,
    workshop: "Workshop | None" = None,
) -> MonitorResult:
    """The loop; the caller holds the store's lock.

    The table is that of the settings where none is given; a workshop is for replays (see `Order`).
    """
    from evergreen.data.sources import open_tables
    from evergreen.monitoring.predecessor import watch_predecessor
    from evergreen.monitoring.shadow import shadow_is_due, watch_shadow
    from evergreen.policy import decide, read_past
    from evergreen.registry.journal import past_runs

    store.reconcile(now)
    tell(1, "reading the table")
    table = table or open_tables(settings.data, settings.root)
    result = MonitorResult()
    if store.live_digest() is None:
        tell(2, "there is no live model yet: training the first one")
        result = replace(result, first_model=train_first(settings, store, table, run, now, workshop))
        if not result.deployed:
            return result
    tell(3, "looking at the rows that the live model has not seen")
    detection, watch, shadow = detect(settings, store, table), None, None
    if not detection.blocked:  # bad rows judge nobody: not the live model, nor the one before, nor one in shadow
        watch = watch_predecessor(settings, store, table, run=run, now=now, actor=ACTOR)
        shadow = watch_shadow(settings, store, table)
    if watch and watch.rolled_back:
        detection = detect(settings, store, table)
    past = read_past([*past_runs(store.entries()), found_now(watch)])
    signals = replace(read_signals(settings, detection, watch, store, now), shadow=shadow)
    decision = decide(signals, past, settings.policy)
    result = replace(result, watch=watch, detection=detection, signals=signals, decision=decision)
    if not decision.retrain:
        ready = signals.news and not signals.blocking and not decision.recommended
        if ready and shadow_is_due(store, settings.policy):
            tell(4, "training a challenger to be watched in shadow")
            order = Order(run, now, "to be watched in shadow", ACTOR, workshop=workshop)
            return replace(result, shadowing=try_shadow(settings, store, table, order))
        return result
    tell(4, "training a challenger: " + " ".join(decision.reasons))
    order = Order(run, now, " ".join(decision.reasons), ACTOR, workshop=workshop)
    return replace(result, retraining=retrain(after_loss(settings, detection), store, table, order))


def train_first(
    settings: "Settings", store: "Store", table: "Table", run: str, now: datetime, workshop: "Workshop | None" = None
) -> Retraining:
    """Train the first model: on the reference, or on the oldest `first_share` of the table."""
    from evergreen.data.sources import open_table
    from evergreen.data.windows import first_stretch, read_timeline

    until = None
    if settings.data.reference:
        table = open_table(settings.data.reference, settings.data, settings.root)
    elif settings.training.first_share < 1:
        until = first_stretch(read_timeline(table, settings.data), settings.training.first_share).stop
    order = Order(f"{run}.first", now, "the first model", ACTOR, until=until, workshop=workshop)
    return retrain(settings, store, table, order)


def try_shadow(settings: "Settings", store: "Store", table: "Table", order: Order) -> Shadowing:
    """Train a challenger for the shadow; one that can't be trained is told, and spoils nothing else of the night."""
    from evergreen.monitoring.shadow import refuse_shadow

    try:
        return train_shadow(settings, store, table, order)
    except (TrainingError, DataError) as error:
        logger.warning("no challenger could be trained for the shadow: %s", error)
        refuse_shadow(store, [str(error)], now=order.now, run=order.run)
        return Shadowing(None, False, ("No challenger could be trained for the shadow.", str(error)))


def after_loss(settings: "Settings", detection: Detection) -> "Settings":
    """The settings for a challenger: after a clear loss, no more rows are kept aside than show a gain of its size.

    A large gain shows in a few hundred rows. All the other rows of the changed world are needed to learn from,
    and each night that a longer holdout has to wait for is a night with a bad model. Where new rows abound, a
    tenth of them is kept aside, so that the next model's own baseline is well known.
    """
    performance, training = detection.report.performance, settings.training
    if performance is None or performance.rows_to_prove is None:
        return settings
    enough = max(performance.rows_to_prove, training.min_holdout, detection.new_labelled_rows // 10)
    enough = min(enough, training.max_holdout)
    return settings.model_copy(update={"training": training.model_copy(update={"max_holdout": enough})})


def found_now(watch: "Watch | None") -> dict[str, Any]:
    """What this run has found out about the retraining before, as the journal will tell it."""
    return {"gained": watch.gained if watch else None}


def read_signals(
    settings: "Settings", detection: Detection, watch: "Watch | None", store: "Store", now: datetime
) -> "Signals":
    """What the policy wants to know, out of what was found."""
    from evergreen.drift.bare_rules import find_bare
    from evergreen.monitoring.accounts import find_excess, label_lag
    from evergreen.policy import Signals
    from evergreen.registry.journal import past_runs

    report, live = detection.report, store.live()
    assert live is not None, "detect has just asked it"
    performance, runs, account = report.performance, past_runs(store.entries()), detection.account
    judged = account.last_key if account else live.card.seen_until
    unlabelled = detection.new_labelled_rows == 0 and settings.data.label_delay is None
    return Signals(
        drift=report.verdict,
        severity=report.severity or "minor",
        drifted_columns=report.drifted,
        predictions=report.predictions.verdict if report.predictions else "not_enough_evidence",
        relations="drift" if report.relations_drifted else "no_drift",
        performance=performance.verdict if performance else None,
        performance_reason=performance.reasons[0] if performance and performance.reasons else "",
        leak=bool(performance and performance.leak and performance.leak.alarm),
        estimate=report.estimate.verdict if report.estimate else None,
        estimate_reason=" ".join(report.estimate.reasons[:1]) if report.estimate else "",
        excess=find_excess(store, live.card, account, replaced=bool(detection.table.content)) if account else None,
        label_lag_runs=None if unlabelled else label_lag(runs, judged, detection.table.newest),
        bare=find_bare(report) if settings.policy.preset == "naive" else (),
        age_days=(now - datetime.fromisoformat(live.card.created)).total_seconds() / 86400,
        new_rows=detection.new_rows,
        new_labelled_rows=detection.new_labelled_rows,
        trained_rows=int(live.card.training.get("rows", 0)),
        news=detection.new_rows > 0 and (not runs or has_changed(runs[-1], detection, settings)),
        blocking=tuple(find_blocking(detection, watch)),
    )


def has_changed(last: Mapping[str, Any], detection: Detection, settings: "Settings") -> bool:
    """Whether the table, or a setting that decides, is another one than in the last run."""
    before = last.get("settings_digest")
    return last.get("table") != asdict(detection.table) or before not in (None, settings.deciding_digest)


def find_blocking(detection: Detection, watch: "Watch | None") -> list[str]:
    """One sentence for each thing that forbids training in this run."""
    blocking = [f"Data quality: {finding.text}" for finding in detection.report.quality if finding.blocking]
    if detection.lacking:
        blocking.append(detection.lacking)
    if watch and watch.rolled_back:
        blocking.append("This run went back to the model before; the next one looks at it with fresh eyes.")
    return blocking


def to_document(result: MonitorResult, settings: "Settings") -> dict[str, Any]:
    """The run's document, as far as its steps make it; `docs/results.schema.json` describes it."""
    from evergreen.drift.verdict import to_document as drift_document
    from evergreen.masking import shown_source
    from evergreen.monitoring.accounts import excess_document
    from evergreen.monitoring.shadow import shadow_document

    nothing = {"first_model": None, "training": None, "comparison": None}
    first = continuous_training.to_document(result.first_model) if result.first_model else nothing
    attempt = continuous_training.to_document(result.retraining) if result.retraining else nothing
    watch, detection, signals, decision = result.watch, result.detection, result.signals, result.decision
    account, excess = detection.account if detection else None, signals.excess if signals else None
    shadow, shadowing = signals.shadow if signals else None, result.shadowing
    cost = (
        excess_document(excess, account, decision.limit, decision.backoff) if account and excess and decision else None
    )
    return {
        "source": shown_source(settings.data.source or settings.data.current),
        "drift": drift_document(detection.report) if detection else None,
        "decision": asdict(decision) if decision else None,
        "excess": cost,
        "shadow": shadow_document(shadow, shadowing.reasons if shadowing else (), settings.policy),
        "shadow_trained": shadowing is not None and shadowing.card is not None,
        "first_model": first["first_model"],
        "training": attempt["training"],
        "comparison": attempt["comparison"],
        "watch": {**watch.comparison.to_dict(), "rolled_back": watch.rolled_back} if watch else None,
        "gained": watch.gained if watch else None,
        "deployed": result.deployed,
        "rolled_back": result.rolled_back,
        "news": result.news,
        "table": asdict(detection.table) if detection else None,
        "judged_until": account.last_key if account else None,
        "settings_digest": settings.deciding_digest,
        "failure": None,
    }


def exit_code(result: MonitorResult, *, tell_outcome: bool) -> ExitCode:
    """Bad data tells unless a model went live before it was met; with `--exit-code` the outcome tells too."""
    report = result.detection.report if result.detection else None
    if result.detection and result.detection.blocked and not result.deployed:
        return ExitCode.BAD_DATA
    if not tell_outcome:
        return ExitCode.OK
    if any(each and each.outcome == "rejected" for each in (result.first_model, result.retraining)):
        return ExitCode.REJECTED
    return ExitCode(detect_drift.exit_code(report)) if report else ExitCode.OK


def tell(step: int, what: str) -> None:
    """Say which step of the run begins."""
    logger.info("%s", what, extra={"step": (step, STEPS)})


def body(arguments: argparse.Namespace) -> int:
    """One run: lock, loop, record, show; whatever stops it is recorded and told as well."""
    from evergreen.registry.rehearsal import rehearse
    from evergreen.registry.store import Store
    from evergreen.training.children import warm_up

    warm_up()
    started, now = time.perf_counter(), utils.now()
    settings = utils.settings_from(arguments)
    with rehearse(settings) if arguments.dry_run else nullcontext(settings) as settings:
        store = Store.of(settings)
        document = utils.begin_document(utils.new_run(now), now) | {"dry_run": arguments.dry_run}
        with store.lock():
            try:
                result = monitor(settings, store, str(document["run"]), now)
            except Exception as error:  # whatever it is, it is told first; what it means decides the boundary
                document |= {"failure": utils.failure_of(error)}
                document = utils.finish(document, settings, store, now, time.perf_counter() - started)
                if arguments.json:
                    utils.show(document, arguments)
                raise
            document |= to_document(result, settings)
            document = utils.finish(document, settings, store, now, time.perf_counter() - started)
        utils.show(document, arguments)
        return exit_code(result, tell_outcome=arguments.exit_code)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = utils.parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="do everything on a copy of the state, change nothing")
    parser.add_argument("--exit-code", action="store_true", help="exit with 10, 11 or 12 to tell the outcome")
    return utils.run(body, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
