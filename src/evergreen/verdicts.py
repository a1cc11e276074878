"""What the verdicts on performance mean: one reading for policy, exit codes, reports and alerts."""

REASONS_TO_RETRAIN = ("degraded", "severe", "breach")
# A leak is a loss, and too small or too recent to know that a retraining would pay.
LOSSES = (*REASONS_TO_RETRAIN, "leak")


def shows_loss(performance: str | None) -> bool | None:
    """Whether a verdict on performance is a loss; None when it can't tell, or there is none.

    >>> shows_loss("severe"), shows_loss("fine"), shows_loss("biased_labels"), shows_loss(None)
    (True, False, None, None)
    """
    if performance in LOSSES:
        return True
    return False if performance == "fine" else None


def calls_for_retraining(performance: str | None) -> bool:
    """Whether a verdict on performance is by itself a reason to retrain; a leak only alarms.

    >>> calls_for_retraining("degraded"), calls_for_retraining("leak")
    (True, False)
    """
    return performance in REASONS_TO_RETRAIN
