"""Where challengers are fitted and tried: in child processes under limits, unless a workshop is brought along.

A replay trains hundreds of models of one table's past. It fits them in the processes it has already, remembers
what they answer, and asks no fresh process to open them; everything else about a run stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from evergreen.training.fitting import FitJob, Fitted


class Workshop(Protocol):
    """Fits models, or knows them from before."""

    def fit(self, job: "FitJob") -> "Fitted":
        """What `evergreen.training.fitting.fit` gives for the job."""


_own: ContextVar[Workshop | None] = ContextVar("workshop", default=None)


def own_workshop() -> Workshop | None:
    """The workshop that was brought along, if any."""
    return _own.get()


@contextmanager
def working_in(workshop: Workshop) -> Iterator[None]:
    """Inside the block all challengers are made in this workshop, and the safety gates are not asked."""
    token = _own.set(workshop)
    try:
        yield
    finally:
        _own.reset(token)
