"""Words that every floor writes alike."""


def counted(count: int, noun: str) -> str:
    """A count with its noun in the right number.

    >>> counted(1, "block"), counted(1200, "row")
    ('1 block', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
