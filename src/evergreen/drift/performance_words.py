"""The verdict on performance in sentences, each with the numbers it rests on."""

from typing import TYPE_CHECKING

from evergreen.drift.label_bias import LabelBias, Reweighted
from evergreen.drift.leak import Leak
from evergreen.scoring.metrics import Score

if TYPE_CHECKING:
    from evergreen.data.windows import Maturity
    from evergreen.drift.performance import PerformanceReport
    from evergreen.drift.worst_slices import WorstSlice

DIAGNOSES = {
    (True, True): "Drift and loss: the data has changed and the model has become worse. Retrain.",
    (True, False): "Drift without loss: the data has changed and the model holds, within its limit. Watch.",
    (False, True): "Loss without drift: the same inputs have other outcomes now (concept change). "
    "Retrain on the newest data.",
    (False, False): "Neither drift nor loss: nothing to do.",
}
LEAK_DIAGNOSES = {
    True: "Drift and a leak: the data has changed and the model loses slowly, not surely beyond its limit yet. Watch.",
    False: "A leak without drift: the same inputs slowly get other outcomes, not surely beyond the limit yet. Watch.",
}
DATA_WORDS = {True: "the data has changed", False: "the data has not changed", None: "whether the data has changed"}
LOSS_WORDS = {True: "the model has become worse", False: "the model holds", None: "whether the model holds"}


def number(value: float) -> str:
    """A score as people write it.

    >>> number(0.8614), number(853.312), number(12.3456), number(1234567.8)
    ('0.861', '853', '12.35', '1,234,568')
    """
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.2f}" if size < 100 else f"{value:,.0f}"


def amount(value: float, relative: bool) -> str:
    """A drop or a limit: percent for shares of the baseline, plain otherwise.

    >>> amount(0.119, False), amount(0.119, True)
    ('0.119', '11.9%')
    """
    return f"{100 * value:.1f}%" if relative else number(value)


def limit_words(limit: float, relative: bool) -> str:
    """A limit as it stands in the configuration.

    >>> limit_words(0.05, False), limit_words(0.05, True)
    ('0.05', '5%')
    """
    return percent(limit) if relative else f"{limit:g}"


def percent(share: float) -> str:
    """A share in percent, without digits that say nothing.

    >>> percent(0.95)
    '95%'
    """
    return f"{100 * share:g}%"


def drop_words(report: "PerformanceReport", confidence: float) -> str:
    """From where to where, the drop, its interval, on how many rows, against which limit."""
    assert report.baseline is not None and report.current is not None
    assert report.drop is not None and report.drop_interval is not None
    before, now = number(report.baseline), number(report.current)
    moved = "fell" if report.current < report.baseline else "rose"
    path = f"stayed at {now}" if before == now else f"{moved} from {before} to {now}"
    worse, low, high = report.drop, *report.drop_interval
    name = "drop" if report.higher_is_better else "worse by"
    if worse < 0:
        name, worse, low, high = "gain" if report.higher_is_better else "better by", -worse, -high, -low
    ends = f"{amount(low, report.relative)} to {amount(high, report.relative)}"
    return (
        f"{report.metric} {path} ({name} {amount(worse, report.relative)}, {percent(confidence)} interval {ends}, "
        f"{report.labelled_rows:,} labelled rows; limit {limit_words(report.max_drop, report.relative)})."
    )


def verdict_words(verdict: str, surely: tuple[float, float], report: "PerformanceReport") -> str:
    """Why the drop means what it means; empty when the floor alone decided."""
    limit = limit_words(report.max_drop, report.relative)
    low, high = (amount(end, report.relative) for end in surely)
    return {
        "severe": f"The loss is surely more than the limit: at least {low}.",
        "degraded": f"There surely is a loss, of at least {low}, and the best guess is not below the limit {limit}.",
        "fine": _fine_words(surely, report),
        "not_enough_evidence": f"Not enough evidence: the loss lies between {low} and {high}, the limit is {limit}.",
    }.get(verdict, "")


def _fine_words(surely: tuple[float, float], report: "PerformanceReport") -> str:
    limit = limit_words(report.max_drop, report.relative)
    low, high = (amount(end, report.relative) for end in surely)
    if surely[0] > 0:
        return f"There surely is a loss, but one of {limit} or more is ruled out: it lies between {low} and {high}."
    if surely[1] < 0:
        return f"The model has surely become better, by at least {amount(-surely[1], report.relative)}."
    return f"A loss of {limit} or more is ruled out: it is at most {high}."


def missing_words(needed: int | None, report: "PerformanceReport", base: Score) -> str:
    """What would settle an open verdict; empty when enough labels are there and the loss is near the limit."""
    limit = limit_words(report.max_drop, report.relative)
    if needed is None:
        return (
            f"The baseline was measured on {base.rows:,} rows, too few to tell a loss of {limit} however many labels "
            "come: keep a longer holdout (training.holdout_share)."
        )
    if needed > report.labelled_rows:
        return f"To find a loss of {limit} takes about {needed:,} labelled rows; there are {report.labelled_rows:,}."
    return ""


def leak_words(leak: Leak) -> str:
    """Since when the model loses, how much, and how sure that is."""
    loss, now, most = "its error rate", f"{100 * leak.found:.1f}%", f"{100 * leak.allowed:.1f}%"
    if leak.metric != "accuracy":
        loss, now, most = f"its {leak.metric}", number(leak.found), number(leak.allowed)
    return (
        f"A leak: since {leak.since} {loss} has been {now}; its baseline and the tolerance allow {most} "
        f"(performance.leak_tolerance). The evidence has grown to {evidence_words(leak.evidence)}, and the limit is "
        f"{leak.limit:,.0f} (performance.labels_per_false_alarm)."
    )


def slice_words(worst: "WorstSlice") -> str:
    """Where the model is at its worst."""
    return (
        f"It is at its worst where {worst.column} is {worst.value}: {worst.metric} {number(worst.score)} on "
        f"{worst.rows:,} rows, {number(worst.rest)} on all others."
    )


def evidence_words(evidence: float) -> str:
    """A number that may be astronomic.

    >>> evidence_words(123456.7), evidence_words(3.2e45)
    ('123,457', 'more than a billion')
    """
    return f"{evidence:,.0f}" if evidence < 1e9 else "more than a billion"


def reweighted(weighed: Reweighted, confidence: float) -> str:
    """What the score would be if the labelled rows were like all rows."""
    before = f", baseline {number(weighed.baseline)}" if weighed.baseline is not None else ""
    low, high = (number(end) for end in weighed.interval)
    return (
        f"Weighted to the model's scores of all rows, {weighed.metric} is {number(weighed.value)} "
        f"({percent(confidence)} interval {low} to {high}{before}); shown, not judged."
    )


def no_floor(base: Score) -> str:
    """Why the usual floor isn't held against this model."""
    return (
        f"No floor was applied: the model's own baseline {number(base.value)} lies below the usual 0.80. "
        "Set performance.min_score to have one."
    )


def floor_words(current: Score, floor: float, surely: tuple[float, float], higher_is_better: bool) -> str:
    """Where a score stands to its floor; empty when it is on the right side."""
    name, side, bound = ("floor", "below", "most") if higher_is_better else ("ceiling", "above", "least")
    end = surely[1] if higher_is_better else surely[0]
    sign = 1 if higher_is_better else -1
    if sign * end < sign * floor:
        return f"{current.metric} is surely {side} the {name} {number(floor)}: at {bound} {number(end)}."
    if sign * current.value < sign * floor:
        return f"{current.metric} {number(current.value)} is {side} the {name} {number(floor)}, but not surely so."
    return ""


def too_few(rows: int, needed: int) -> str:
    """Why nothing is judged yet."""
    return f"Not enough evidence: {rows:,} labelled rows, and {needed:,} are needed (performance.min_labels)."


def unripe(maturity: "Maturity | None") -> str:
    """Which rows were left out because their labels are still coming; empty when there are none."""
    return f"Not judged: {maturity.reason}." if maturity is not None and maturity.reason else ""


def no_baseline(current: Score) -> str:
    """A score with nothing to compare it with."""
    return (
        f"{current.metric} is {number(current.value)} on {current.rows:,} labelled rows; the model's card has no "
        f"baseline for it, so a drop can't be told."
    )


def biased(bias: LabelBias, labelled: int) -> str:
    """Why labels that are there aren't believed."""
    return (
        f"The labels that have come are a biased choice: the model's scores on the {labelled:,} labelled rows differ "
        f"from those on the rows still without a label ({percent(round(bias.unlabelled_share, 3))} of all; "
        f"Kolmogorov-Smirnov {bias.ks:.3f}, limit {bias.threshold:g}, p {bias.p_value:.2g}). "
        "Performance is not judged until more labels are there (data.label_delay, data.min_coverage)."
    )


def undiagnosed(drifted: bool | None, lost: bool | None) -> str:
    """The fifth diagnosis: what is known, and what isn't."""
    if drifted is None and lost is None:
        return "Not enough evidence for a diagnosis: neither the data nor the performance could be judged."
    known, unknown = (DATA_WORDS[drifted], LOSS_WORDS[None]) if lost is None else (LOSS_WORDS[lost], DATA_WORDS[None])
    return f"Not enough evidence for a diagnosis: {known}; {unknown} is not known yet."


def check_words(report: "PerformanceReport", drifted: bool | None) -> str:
    """The finding as a notebook prints it."""
    head = {
        True: "PERFORMANCE DRIFT DETECTED!",
        False: "No performance drift.",
        None: "Not enough evidence about performance drift.",
    }[drifted]
    exact = "The baseline counts as exact: how many rows it was measured on is not known."
    return "\n".join([head, *report.reasons, exact])
