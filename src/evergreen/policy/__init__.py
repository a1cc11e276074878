"""Whether to retrain, and why: pure functions of what a run saw, of what earlier runs did, and of settings."""

from evergreen.policy.decision import Decision, decide
from evergreen.policy.patience import age_in_runs, back_off, cool_down, mute
from evergreen.policy.signals import PastRun, Signals, read_past

__all__ = ["Decision", "PastRun", "Signals", "age_in_runs", "back_off", "cool_down", "decide", "mute", "read_past"]
