"""Train a challenger and let it replace the live model only if it is better.

    python src/continuous_training.py                                with the settings of config.toml
    python src/continuous_training.py --force --reason "new tariff"  skip the comparison, never the safety gates
    python src/continuous_training.py --json                         the result as strict JSON

The newest labelled rows are kept aside, a challenger is fitted on the older ones in a child process, has to
pass the safety gates, and is compared with the live model on the rows neither has seen. The winner goes
live after a backup of the one before; what was decided and why is written down whatever the outcome.

Exit codes: 0 done, whatever was decided; 1 the fit failed; 2 usage; 3 bad data; 4 integrity; 75 another run
is going on; with --exit-code also 12 when the challenger was rejected.
"""

import argparse
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import utils
from evergreen.errors import ExitCode

if TYPE_CHECKING:
    from evergreen.data.sources import Table
    from evergreen.registry.cards import Card
    from evergreen.registry.store import Store
    from evergreen.settings import Settings
    from evergreen.training.admission import Examination, OpenedModel
    from evergreen.training.fitting import Fitted, Workshop
    from evergreen.training.prepare import Material

logger = logging.getLogger("evergreen.continuous_training")
WATCHED = "It is watched in shadow: what it would have saved on later labels will tell."


@dataclass(frozen=True)
class Order:
    """In which run a challenger is trained, why and for whom.

    `force` skips the comparison with the champion; rows from `until` on are not used. A `workshop` fits in place
    of a child process, and what it makes is spared the safety gates: only a replay, where nothing goes live, has one.
    """

    run: str
    now: datetime
    reason: str
    actor: str
    force: bool = False
    until: datetime | int | None = None
    workshop: "Workshop | None" = None


@dataclass(frozen=True)
class Retraining:
    """What became of a challenger.

    `outcome` is "deployed", "staged" (good enough, and waits for a person: `policy.mode = "approve"`)
    or "rejected"; `reasons` say why.
    """

    card: "Card"
    shown: "Examination"
    outcome: str
    reasons: tuple[str, ...]
    forced: Mapping[str, str] | None


@dataclass(frozen=True)
class Shadowing:
    """What became of a challenger that was trained to be watched; `reasons` say it in words.

    `card` is None when it could not even be trained.
    """

    card: "Card | None"
    kept: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """A fitted challenger and the rows it was made with; `champion` is the live model, None when there is none.

    `holdout_learned`: the rows it was judged on are among those it has learned.
    """

    material: "Material"
    fitted: "Fitted"
    champion: "OpenedModel | None"
    holdout_learned: bool = False


def retrain(settings: "Settings", store: "Store", table: "Table", order: Order) -> Retraining:
    """Train, gate, compare and perhaps deploy one challenger; the caller holds the store's lock.

    Raises `DataError` for bad data or too few labels, `TrainingError` when the fit failed, and
    `IntegrityError` when another model went live meanwhile. The champion stays in all these cases.
    """
    from evergreen.training.admission import examine

    made = make_challenger(settings, store, table, order)
    rival = None if order.force else made.champion
    candidates = count_candidates(store, made.material)
    shown = examine(made.fitted, made.material, settings, rival, candidates=candidates, workshop=order.workshop)
    forced = {"by": order.actor, "why": order.reason} if order.force and made.champion else None
    outcome, reasons = judge(settings, shown, made.champion, forced)
    if outcome != "rejected":
        made, shown = learn_holdout(settings, store, made, shown, order)
    card = describe(settings, store, made, shown, order)
    result = Retraining(card, shown, outcome, reasons, forced)
    carry_out(settings, store, result, made.fitted, order)
    return result


def train_shadow(settings: "Settings", store: "Store", table: "Table", order: Order) -> Shadowing:
    """Train a challenger as `retrain` does, and keep it to be watched: it passes the gates and does not go live."""
    from evergreen.monitoring.shadow import keep_shadow, refuse_shadow
    from evergreen.training.admission import examine

    made = make_challenger(settings, store, table, order)
    shown = examine(made.fitted, made.material, settings, None, workshop=order.workshop)
    failed = tuple(gate.reason for gate in shown.gates if not gate.passed)
    if not failed:
        made, shown = learn_holdout(settings, store, made, shown, order)
    card = describe(settings, store, made, shown, order)
    if failed:
        refuse_shadow(store, failed, now=order.now, run=order.run)
        return Shadowing(card, False, ("A challenger for the shadow did not pass the safety gates.", *failed))
    keep_shadow(store, made.fitted.pickle, card, now=order.now, run=order.run)
    return Shadowing(card, True, ("A challenger was trained to be watched in shadow; it does not go live.",))


def make_challenger(settings: "Settings", store: "Store", table: "Table", order: Order) -> Attempt:
    """Read the rows, keep the newest aside, and fit on the others."""
    from evergreen.data.quality import can_answer, check_target
    from evergreen.registry.describing import contract_of, key_fits, last_key_of
    from evergreen.training.admission import OpenedModel
    from evergreen.training.prepare import prepare_material

    champion = None
    known, seen_until = None, None
    if store.live_digest():
        estimator, card = store.load_live()
        known = contract_of(card)
        if key_fits(card, table) or not order.force:
            seen_until = last_key_of(card, table)
        champion = OpenedModel(card.digest, estimator, known)
        check_target(table, settings.data, known)
        if order.force and not can_answer(table, known, settings.data):
            known = None  # the table has changed for good: the challenger's contract begins anew
    material = prepare_material(table, settings, known=known, seen_until=seen_until, until=order.until)
    return Attempt(material, fit(settings, store, material, seen_until, order.workshop), champion)


def learn_holdout(
    settings: "Settings", store: "Store", made: Attempt, shown: "Examination", order: Order
) -> tuple[Attempt, "Examination"]:
    """The winner once more, on the same stretch and the newest rows too, which it has just been judged on.

    In a world that changes, the newest rows tell most. What the judged model has shown on them stays its successor's
    baseline. The judged one goes live where this is not wanted, or where its successor does not pass the safety gates.
    """
    from evergreen.training.admission import check_safety
    from evergreen.training.prepare import with_holdout

    if not settings.learns_holdout or settings.training.update:
        return made, shown
    judged, material = made.fitted, with_holdout(made.material)
    recipe = {"window": str(judged.rows + len(made.material.holdout)), "params": judged.params, "search": {}}
    training = settings.training.model_copy(update=recipe)
    again = fit(settings.model_copy(update={"training": training}), store, material, None, order.workshop)
    gates = () if order.workshop else check_safety(again.pickle, made.material, settings)
    if not all(gate.passed for gate in gates):
        logger.warning("with the newest rows it does not pass the gates; the one that was judged is taken")
        return made, shown
    kept = {name: getattr(judged, name) for name in ("window", "params", "candidates", "importances")}
    fitted = replace(again, seconds=judged.seconds + again.seconds, **kept)
    floor = tuple(gate for gate in shown.gates if gate.name not in {gate.name for gate in gates})
    return Attempt(material, fitted, made.champion, holdout_learned=True), replace(shown, gates=(*gates, *floor))


def count_candidates(store: "Store", material: "Material") -> int:
    """How many challengers have now been tried on these very rows: each look at them spends a part of alpha."""
    from evergreen.data.rows import digest_rows
    from evergreen.registry.journal import past_runs

    rows = digest_rows(material.holdout.frame)
    return 1 + sum(run.get("rows_digest") == rows for run in past_runs(store.entries()))


def describe(settings: "Settings", store: "Store", made: Attempt, shown: "Examination", order: Order) -> "Card":
    """The card of a challenger."""
    from evergreen.registry.describing import Occasion, describe_challenger

    parent = made.champion.digest if made.champion else None
    occasion = Occasion(store.next_version(), parent, order.now, order.reason, order.actor, utils.revision())
    card = describe_challenger(made.fitted, made.material, shown, settings, occasion)
    return replace(card, training={**card.training, "holdout_learned": made.holdout_learned})


def fit(
    settings: "Settings", store: "Store", material: "Material", seen_until: Any, workshop: "Workshop | None" = None
) -> "Fitted":
    """Fit the challenger in the workshop, or else in a child process within the limits of the settings."""
    from evergreen.files import read_bytes
    from evergreen.registry.journal import labelled_per_run
    from evergreen.training.fitting import fit_in_child, job_for, limits_of

    job = job_for(
        material.training,
        material.contract,
        settings,
        champion=read_bytes(store.model_path) if settings.training.update and store.live_digest() else None,
        seen_until=seen_until,
        window_rows=labelled_per_run(store.entries()),
    )
    return workshop.fit(job) if workshop else fit_in_child(job, limits_of(settings.training))


def judge(
    settings: "Settings", shown: "Examination", champion: "OpenedModel | None", forced: Mapping[str, str] | None
) -> tuple[str, tuple[str, ...]]:
    """What is to become of the challenger, and why."""
    failed = tuple(gate.reason for gate in shown.gates if not gate.passed)
    if failed:
        return "rejected", failed
    if shown.comparison is not None and shown.comparison.winner != "challenger":
        watched = (WATCHED,) if is_undecided(settings, shown) else ()
        return "rejected", (*shown.comparison.reasons, *watched)
    if champion is None:
        reasons: tuple[str, ...] = ("The first model: it passed the gates, and there is nothing to compare it with.",)
    elif forced:
        reasons = (f"The comparison was skipped by {forced['by']}: {forced['why']}",)
    else:
        reasons = shown.comparison.reasons if shown.comparison else ()
    if settings.policy.mode == "approve" and champion is not None and not forced:
        return "staged", (*reasons, "It waits for approval: python src/rollout.py promote.")
    return "deployed", reasons


def is_undecided(settings: "Settings", shown: "Examination") -> bool:
    """Whether a challenger is to be watched in shadow, because the rows at hand can't tell whether it is better."""
    from evergreen.policy.reasons import KEEP_UNDECIDED

    undecided = shown.comparison is not None and shown.comparison.winner == "undecided"
    return undecided and settings.policy.preset in KEEP_UNDECIDED


def carry_out(settings: "Settings", store: "Store", result: Retraining, fitted: "Fitted", order: Order) -> None:
    """Write the decision record, then stage or deploy what won; what could not be decided goes to the shadow."""
    from evergreen.monitoring.shadow import keep_shadow
    from evergreen.registry.comparisons import write_comparison

    write_comparison(store.folder, order.run, to_document(result) | {"format": 1, "run": order.run})
    if result.outcome == "rejected":
        if is_undecided(settings, result.shown):
            keep_shadow(store, fitted.pickle, result.card, now=order.now, run=order.run)
        return
    store.stage(fitted.pickle, result.card)
    if result.outcome == "deployed":
        store.deploy(
            result.card.digest,
            expected_live=result.card.parent,
            now=utils.now(),
            reason=order.reason,
            actor=order.actor,
            run=order.run,
        )


def to_document(result: Retraining) -> dict[str, Any]:
    """The parts of a run's document that tell of one training; the first model's is called `first_model`."""
    card, comparison = result.card, result.shown.comparison
    trained = {
        "digest": card.digest,
        "version": card.version,
        **card.training,
        "gates": list(card.gates),
        "outcome": result.outcome,
        "reasons": list(result.reasons),
        "baseline": card.baseline,
        "scoring_seconds": round(result.shown.seconds, 3),
    }
    record = comparison.to_dict() if comparison else None
    if record is None and result.forced:
        record = skipped_comparison(result)
    is_first = card.parent is None
    return {
        "first_model": trained if is_first else None,
        "training": None if is_first else trained,
        "comparison": record,
        "deployed": result.outcome == "deployed",
    }


def skipped_comparison(result: Retraining) -> dict[str, Any]:
    """The record of a comparison that somebody skipped: every key, and null where nothing was found out."""
    from dataclasses import fields

    from evergreen.training.comparison import Comparison

    nothing = {each.name: None for each in fields(Comparison)}
    known = {"winner": "challenger", "forced": result.forced, "reasons": list(result.reasons)}
    identity = {"challenger_digest": result.card.digest, "champion_digest": result.card.parent}
    return nothing | known | identity | {"slices": [], "scores": {}}


def body(arguments: argparse.Namespace) -> int:
    """One run by hand: lock, repair, retrain, record, show."""
    from evergreen.data.sources import open_tables
    from evergreen.registry.store import Store
    from evergreen.training.children import warm_up

    warm_up()
    started, now = time.perf_counter(), utils.now()
    settings = utils.settings_from(arguments)
    order = Order(utils.new_run(now), now, arguments.reason, utils.actor_of(arguments), arguments.force)
    store = Store.of(settings)
    with store.lock():
        store.reconcile(now)
        document = utils.begin_document(order.run, now)
        try:
            result = retrain(settings, store, open_tables(settings.data, settings.root), order)
        except Exception as error:  # whatever it is, it is told first; what it means decides the boundary
            utils.finish(
                document | {"failure": utils.failure_of(error)}, settings, store, now, time.perf_counter() - started
            )
            raise
        document |= to_document(result)
        document = utils.finish(document, settings, store, now, time.perf_counter() - started)
    utils.show(document, arguments)
    return ExitCode.REJECTED if arguments.exit_code and result.outcome == "rejected" else ExitCode.OK


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = utils.parser(__doc__)
    parser.add_argument(
        "--force", action="store_true", help="skip the comparison with the champion, never the safety gates"
    )
    utils.add_signature_options(parser, reason="trained by hand")
    parser.add_argument("--exit-code", action="store_true", help="exit with 12 when the challenger was rejected")
    return utils.run(body, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
