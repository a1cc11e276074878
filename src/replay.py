"""Run the very same loop over your own past and compare policies.

python src/replay.py                                       about 100 blocks, the usual policies
python src/replay.py --block 1d --label-delay 3d
python src/replay.py --policy hybrid cost never every-5 --cost 20 --html replay.html
"""

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import utils
from monitor import monitor, to_document

if TYPE_CHECKING:
    from evergreen.data.sources import Table
    from evergreen.registry.store import Store
    from evergreen.replay.plays import Night
    from evergreen.settings import Settings

logger = logging.getLogger("evergreen.replay")


def run_night(settings: "Settings", store: "Store", table: "Table", run: str, moment: datetime) -> "Night":
    """One run of the monitor at a moment of the past; what goes wrong is written down as in a real night."""
    from evergreen.errors import EvergreenError
    from evergreen.replay.plays import Night
    from evergreen.reporting.documents import jsonable
    from evergreen.reporting.history import summarise_run

    document: dict[str, Any] = utils.begin_document(run, moment)
    try:
        document |= to_document(monitor(settings, store, run, moment, table), settings)
    except EvergreenError as error:
        document |= {"failure": utils.failure_of(error)}
    entry = jsonable(summarise_run(document))
    store.record("run", moment, **entry)
    return Night(
        trained=entry["retrained"],
        deployed=entry["deployed"],
        rolled_back=entry["rolled_back"],
        shadow=bool(entry.get("shadow_trained")),
        why=" ".join(entry["reasons"]),
        failure=(entry["failure"] or {}).get("message", ""),
    )
