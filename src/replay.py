"""Play the very same loop over your own past, and compare policies before you trust one with your future.

    python src/replay.py                                       about 100 blocks, the usual policies
    python src/replay.py --block 1d --label-delay 3d           a night per block, labels three days late
    python src/replay.py --policy cost every-5 never --cost 50 --html replay.html
    python src/replay.py --calibrate                           false alarms to expect, smallest shifts to be seen

Before each block only the rows and labels before it are known, and what decides is what decides in monitor.py.
Policies are the presets of [policy], and rules: never, every-1, every-5, every-N blocks. Cost counts wrong decisions,
and --cost of them for each retraining. Fitted models are remembered, as numbers, in replay-cache beside the reports:
more policies cost little more, and an interrupted replay goes on where it was.

Exit codes: 0 done; 1 unexpected error; 2 usage; 3 bad data.
"""

import argparse
import logging
import math
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import utils
from evergreen.errors import ExitCode, UsageError
from monitor import monitor, to_document

if TYPE_CHECKING:
    from evergreen.data.sources import Table
    from evergreen.registry.store import Store
    from evergreen.replay.plays import Night
    from evergreen.settings import Settings
    from evergreen.training.fitting import Workshop

logger = logging.getLogger("evergreen.replay")
CACHE = "replay-cache"


def run_night(
    settings: "Settings", store: "Store", table: "Table", run: str, moment: datetime, workshop: "Workshop"
) -> "Night":
    """One run of the monitor at a moment of the past; what goes wrong is written down as in a real night."""
    from evergreen.errors import EvergreenError
    from evergreen.replay.plays import Night
    from evergreen.reporting.documents import jsonable
    from evergreen.reporting.history import summarise_run

    document: dict[str, Any] = utils.begin_document(run, moment)
    try:
        document |= to_document(monitor(settings, store, run, moment, table, workshop), settings)
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
        held_back=" ".join(entry["blocked"]),
    )


def compare_policies(arguments: argparse.Namespace, settings: "Settings") -> dict[str, Any]:
    """The part of the document that tells what each policy would have done."""
    from evergreen.replay.past import read_past
    from evergreen.replay.policies import choose_policies
    from evergreen.replay.replaying import replay
    from evergreen.replay.telling import to_document as tell

    cost = settings.policy.retrain_cost if arguments.cost is None else check_cost(arguments.cost)
    past = read_past(settings, arguments.block, arguments.label_delay)
    policies = choose_policies(arguments.policy or (), settings, past, cost)
    logger.info("%s: %s rows in %s blocks", past.name, f"{past.edges[-1]:,}", past.blocks)
    folder = settings.path(settings.reports.folder) / CACHE
    return tell(
        replay(
            settings,
            past,
            policies,
            folder,
            run_night,
            retrain_cost=cost,
            jobs=arguments.jobs,
            progress=Clock(time.perf_counter()).tell,
        )
    )


def check_cost(cost: float) -> float:
    """A price that policy.retrain_cost takes as well, since that is what the advice would set."""
    if not 0 < cost < math.inf:
        raise UsageError(f"--cost {cost:g}: expected a number above 0, the price of a retraining in wrong decisions.")
    return cost


def look_back(arguments: argparse.Namespace, settings: "Settings") -> dict[str, Any]:
    """What was asked of the past: what alarms to expect, or what each policy would have done."""
    if not arguments.calibrate:
        return {"replay": compare_policies(arguments, settings)}
    from evergreen.replay.calibration import calibrate

    past = settings, arguments.block, arguments.label_delay
    return {"calibration": calibrate(*past, folder=settings.path(settings.reports.folder) / CACHE)}


class Clock:
    """Says how far a long work is, and how long it will still take if it goes on like this."""

    def __init__(self, started: float) -> None:
        self.started = started

    def tell(self, done: int, total: int) -> None:
        """`done` of `total` equal parts are done."""
        left = (time.perf_counter() - self.started) * (total - done) / max(done, 1)
        what = f"played {done:,} of {total:,} blocks, about {left:,.0f} s left"
        logger.info("%s", what, extra={"step": (done, total)})


def body(arguments: argparse.Namespace) -> int:
    """One replay: read, play, show."""
    started, now = time.perf_counter(), utils.now()
    settings = utils.settings_from(arguments)
    utils.keep_inputs([arguments.html], arguments, settings.data.sources, settings.root)
    document = utils.begin_document(utils.new_run(now), now)
    try:
        document |= look_back(arguments, settings)
    except KeyboardInterrupt:
        logger.warning("Fitted models are kept: the same command goes on where it was.")
        raise
    document["seconds"] = round(time.perf_counter() - started, 3)
    if arguments.html:
        from evergreen.files import write_atomic
        from evergreen.reporting.replay_page import render_html

        write_atomic(arguments.html, render_html(document))
        logger.info("The page is in %s.", arguments.html)
    show(document, arguments)
    return ExitCode.OK


def show(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print the result: strict JSON, or the table and the recommendation."""
    if arguments.json:
        utils.show(document, arguments)
    elif not arguments.quiet:
        from evergreen.reporting.replay_text import render_text

        sys.stdout.write(render_text(document) + "\n")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = utils.parser(__doc__)
    parser.add_argument(
        "--block", metavar="LENGTH", default="", help="rows (500) or time (1d) of a block; default: a hundredth"
    )
    parser.add_argument("--policy", metavar="NAME", nargs="+", help="presets, never, every-N; default: the usual ones")
    parser.add_argument(
        "--label-delay", metavar="LENGTH", default="", help="blocks (3) or time (3d); default: data.label_delay"
    )
    parser.add_argument(
        "--cost", metavar="C", type=float, help="price of a retraining in wrong decisions; default: policy.retrain_cost"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write table, plot and advice as one page")
    parser.add_argument("--calibrate", action="store_true", help="false alarms and smallest shifts instead of policies")
    parser.add_argument("--jobs", metavar="N", type=int, default=-1, help="processes; default: all processors")
    return utils.run(body, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
