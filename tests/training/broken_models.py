"""Models that are broken in one way each; children import them by this name."""

import os
import signal
import time

import numpy as np


class Model:
    """A sound one: the class by the sign of the signal."""

    classes_ = np.array(["leaves", "stays"])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        stays = 1 / (1 + np.exp(-X["signal"].to_numpy()))
        return np.column_stack([1 - stays, stays])


class WithoutProbabilities:
    def predict(self, X):
        return np.where(X["signal"] > 0, "stays", "leaves")


class OtherColumns(Model):
    def predict_proba(self, X):
        if X.shape[1] != 7:
            raise ValueError(f"X has {X.shape[1]} features, but Model is expecting 7 features as input")
        return super().predict_proba(X)


class NaN(Model):
    def predict_proba(self, X):
        return super().predict_proba(X) * np.nan


class NaNNumbers:
    def predict(self, X):
        return np.full(len(X), np.nan)


class TooFew(Model):
    def predict(self, X):
        return super().predict(X)[:-1]


class OtherClasses(Model):
    def predict(self, X):
        return np.full(len(X), "maybe")


class NotProbabilities(Model):
    def predict_proba(self, X):
        return 2 * super().predict_proba(X)


class Sleeps(Model):
    def predict(self, X):
        time.sleep(60)


class Slow(Model):
    def predict(self, X):
        time.sleep(0.02)
        return super().predict(X)


class SleepsWhenOpened(Model):
    def __setstate__(self, state):
        time.sleep(60)

    def __getstate__(self):
        return {"anything": 1}


class Eats(Model):
    def predict(self, X):
        np.ones(10 * 2**27)
        return super().predict(X)


class Dies(Model):
    def predict(self, X):
        os.kill(os.getpid(), signal.SIGSEGV)


class Random(Model):
    def predict_proba(self, X):
        stays = np.random.default_rng().random(len(X))
        return np.column_stack([1 - stays, stays])


class MixesRows(Model):
    """Standardises over the rows it is asked about, so that every answer depends on the company it is in."""

    def predict_proba(self, X):
        return super().predict_proba(X - X.mean(numeric_only=True))


def answer(X):
    return np.zeros(len(X))
