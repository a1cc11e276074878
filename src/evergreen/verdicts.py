"""What the verdicts on performance mean: one reading for policy, exit codes, reports and alerts."""

LOSSES = ("degraded", "severe", "breach")


def shows_loss(performance: str | None) -> bool | None:
    """Whether a verdict on performance is a loss; None when it can't tell, or there is none.

    >>> shows_loss("severe"), shows_loss("fine"), shows_loss("biased_labels"), shows_loss(None)
    (True, False, None, None)
    """
    if performance in LOSSES:
        return True
    return False if performance == "fine" else None
