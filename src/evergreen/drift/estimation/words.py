"""The estimate in sentences: what it says, how it stands to its record, and what it can never see."""

from typing import TYPE_CHECKING

from evergreen.drift.estimation.track import MIN_WINDOWS, Track
from evergreen.drift.performance_words import amount, limit_words, number, percent

if TYPE_CHECKING:
    from evergreen.drift.estimation.estimate import Estimate

BLIND = (
    "Without labels nobody can see that the same inputs have other outcomes now (concept drift); that earlier "
    "estimates agreed with the labels that came later is the only proof there is."
)


def estimate_words(found: "Estimate") -> str:
    """What the rows without labels are probably worth."""
    assert found.value is not None and found.band is not None and found.baseline is not None and found.drop is not None
    low, high = (number(end) for end in found.band)
    worse, name = found.drop, "a drop" if found.higher_is_better else "worse by"
    if worse < 0:
        worse, name = -worse, "a gain" if found.higher_is_better else "better by"
    of = " of" if name.startswith("a ") else ""
    return (
        f"Estimated without labels: {found.metric} {number(found.value)} (between {low} and {high}) on {found.rows:,} "
        f"rows, against {number(found.baseline)} on labelled ones: {name}{of} {amount(worse, found.relative)}, "
        f"limit {limit_words(found.max_drop, found.relative)}."
    )


def disagree_words(found: "Estimate") -> str:
    """Two methods that see two things; empty when they agree, or there is only one."""
    if not found.methods_disagree:
        return ""
    assert found.error_model is not None and found.pape is not None
    return (
        f"The methods disagree: {number(found.error_model)} by the error model, {number(found.pape)} by the scores "
        "calibrated for the new rows (PAPE)."
    )


def verdict_words(found: "Estimate") -> str:
    """What is done because of the estimate, and why not more."""
    track, relative = found.track, found.relative
    if track.windows < MIN_WINDOWS:
        return (
            f"Unproven: {track.windows} of the {MIN_WINDOWS} earlier estimates that it takes have been held against "
            "their labels. It is shown, and nothing is done because of it."
        )
    if not track.reliable:
        return f"Not reliable, and nothing is done because of it: {track_words(track, relative)}."
    surely = "even at the good end of the band" if found.verdict == "estimated_drop" else "at the good end of the band"
    fails = "is beyond the limit" if found.verdict == "estimated_drop" else "is within the limit"
    return f"The drop {fails} {surely}. It is relied on: {track_words(track, relative)}."


def track_words(track: Track, relative: bool) -> str:
    """How right the estimates were so far."""
    assert track.error is not None and track.carried_error is not None and track.recent_error is not None
    error, carried, most = (amount(each, relative) for each in (track.error, track.carried_error, track.tolerated))
    lately = ""
    if track.recent_error > track.tolerated >= track.error:
        lately = f" ({amount(track.recent_error, relative)} in the last {MIN_WINDOWS})"
    return (
        f"in {track.windows} windows whose labels have come since, it was off by {error} on average{lately}, the last "
        f"labelled score by {carried}, and {most} is tolerated"
    )


def outside_words(share: float, limit: float, columns: tuple[str, ...]) -> str:
    """Why nothing is estimated for rows that the labelled ones say nothing about."""
    where = f"; values outside the known range in {', '.join(columns)}" if columns else ""
    return (
        f"No estimate: {percent(round(share, 3))} of the rows without labels lie outside the known data, and "
        f"{percent(limit)} are tolerated{where}. Only labels can tell what the model is worth there."
    )


def few_rows_words(rows: int, needed: int) -> str:
    """Too few rows to estimate anything for."""
    return f"Not estimated yet: {rows:,} rows wait for their label, and {needed:,} are needed (performance.min_labels)."


def few_labels_words(rows: int, needed: int) -> str:
    """Too few labelled rows to learn from."""
    return (
        f"Not estimated: it takes {needed:,} labelled rows that the model was not trained on, and there are "
        f"{rows:,}: its holdout (training.holdout_share, training.max_holdout) and those since."
    )


def no_labels_words(why: str) -> str:
    """No labelled rows to learn from."""
    return f"Not estimated: it takes labelled rows that the model was not trained on, and {why}."


def unfit_words(metric: str, why: str) -> str:
    """A metric that can't be told without labels."""
    return f"Not estimated: {metric} can't be estimated without labels here, because {why}."
