"""Whether to retrain, and why: pure functions of what a run saw, of what earlier runs did, and of settings."""

from evergreen.policy.decision import Decision, decide
from evergreen.policy.patience import back_off, cool_down, mute
from evergreen.policy.signals import PastRun, Signals, read_past

__all__ = ["Decision", "PastRun", "Signals", "back_off", "cool_down", "decide", "mute", "read_past"]
