"""The rows that the live model has not seen, held against its card: their form, its answers, what came of them."""

from typing import Any

from evergreen.data.batches import Batch
from evergreen.data.quality import Finding, check_table, check_target, check_times, raise_findings
from evergreen.data.repeats import check_repeats
from evergreen.data.schema import Contract
from evergreen.data.sources import Table, Window
from evergreen.data.values import check_values
from evergreen.data.windows import Maturity, Timeline
from evergreen.drift.columns import compare_profiles
from evergreen.drift.in_time import season_note
from evergreen.drift.joint import JointDrift, compare_relations, join_deep
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.drift.performance import judge_performance
from evergreen.drift.profile import Profile
from evergreen.drift.worst_slices import name_worst_slices
from evergreen.monitoring.learned import look_deeper
from evergreen.registry.cards import Card
from evergreen.registry.describing import contract_of, last_key_of
from evergreen.scoring.metrics import Score
from evergreen.scoring.predictions import Predictions
from evergreen.settings import Settings


def check_form(settings: Settings, table: Table, contract: Contract, card: Card) -> tuple[Finding, ...]:
    """Findings in names, types and times; `DataError` where one blocks, with what is wrong in the other columns."""
    check_target(table, settings.data, contract)
    findings = (*check_table(table, contract, settings.data), *check_times(table))
    if any(finding.blocking for finding in findings):
        raise_findings(findings + check_values(table, contract, settings.data, rows_since(card, table)), table.name)
    return findings


def check_rows(
    settings: Settings, table: Table, timeline: Timeline, window: Window, batch: Batch, contract: Contract
) -> tuple[Finding, ...]:
    """What is wrong with new rows themselves: with their values, or that they have been there before."""
    found = check_values(table, contract, settings.data, window)
    return (*found, *check_repeats(table, timeline, window, batch.frame, contract))


def rows_since(card: Card, table: Table) -> Window | None:
    """The rows from the live model's last one on; None, which is all of them, where there are none."""
    window = Window(last_key_of(card, table), None)
    return window if any(len(piece) for piece in table.arrays(next(iter(table.types)), window)) else None


def judge_together(
    settings: Settings, card: Card, table: Table, batch: Batch, reference: Profile, current: Profile
) -> JointDrift | None:
    """The drift that no column shows alone: in correlations and, with `drift.deep`, in any way at all."""
    relations = compare_relations(reference.relations, current.relations, settings.drift)
    deep = look_deeper(settings, card, table, batch.frame) if settings.drift.deep else None
    return join_deep(relations, deep, settings.drift)


def judge_answers(
    settings: Settings, card: Card, batch: Batch, answers: Predictions, current: Profile
) -> dict[str, Any]:
    """The drift of what the model says, and the season by which it and the columns were compared."""
    said = Profile.from_dict(card.prediction_profile or {})
    says = profile_answers(answers, batch.keys, settings.drift, against=said)
    return {
        "predictions": compare_profiles(said, says, settings.drift),
        "season": season_note(current, predictions=says),
    }


def judge_outcomes(
    settings: Settings, card: Card, batch: Batch, answers: Predictions, maturity: Maturity
) -> dict[str, Any]:
    """The target's drift and the model's performance, on the rows whose labels are complete."""
    mature = batch.mature(maturity)
    judged, waiting = mature & batch.labelled, mature & ~batch.labelled
    happened = Profile.from_dict(card.target_profile or {})
    labels = batch.labels[judged]
    performance = judge_performance(
        labels,
        answers.take(judged),
        baseline={name: Score.from_dict(score) for name, score in card.baseline.items()},
        settings=settings.performance,
        task=card.task,
        positive=card.positive or None,
        times=batch.keys[judged],
        maturity=maturity,
        unlabelled=answers.take(waiting) if waiting.any() else None,
        root=settings.root,
        seed=settings.training.seed,
    )
    performance = name_worst_slices(
        performance,
        batch.frame.loc[judged, list(contract_of(card).features)],
        labels,
        answers.take(judged),
        settings,
        task=card.task,
        positive=card.positive or None,
    )
    happens = profile_target(labels, batch.keys[judged], settings.drift, against=happened)
    target = compare_profiles(happened, happens, settings.drift) if len(labels) else None
    return {"target": target, "performance": performance}
