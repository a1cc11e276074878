"""What can go wrong on purpose, and the exit code each kind of trouble ends a command with.

Raise the class where the fact is known, with a message a person can act on: what happened, where
(file, column, key, value), what was expected, what to do. The one `except` is in `utils.py`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; cron jobs and CI branch on them, so they never change meaning."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    BAD_DATA = 3
    INTEGRITY = 4
    DRIFT = 10
    NOT_ENOUGH_EVIDENCE = 11
    REJECTED = 12
    BUSY = 75


class EvergreenError(Exception):
    """Base of all expected errors; shown as one message without a traceback."""

    exit_code = ExitCode.UNEXPECTED


class UsageError(EvergreenError):
    """The command line or the configuration can't be followed."""

    exit_code = ExitCode.USAGE


class DataError(EvergreenError):
    """The data can't be trusted; nothing was trained and nothing was changed."""

    exit_code = ExitCode.BAD_DATA


class IntegrityError(EvergreenError):
    """A model, card or journal is unknown, altered or incompatible, or a decision is stale."""

    exit_code = ExitCode.INTEGRITY


class BusyError(EvergreenError):
    """Another run holds the lock."""

    exit_code = ExitCode.BUSY


class TrainingError(EvergreenError):
    """A fit failed, hung or ran out of its limits; the champion stays."""


class StorageError(EvergreenError, OSError):
    """A file can't be read or written (disk full, read-only, no permission); what it held before is untouched."""
