"""Answer predictions over HTTP with the live model, and take every newly deployed one into service.

    python src/serve.py                                # http://127.0.0.1:5000, as [serving] of config.toml says
    python src/serve.py --host 0.0.0.0 --port 8080     # reachable from other machines
    python src/serve.py --workers 4                    # four processes, each with the model in memory

    curl -X POST http://127.0.0.1:5000/predict -H 'Content-Type: application/json' -d '{"row": {"age": 42, ...}}'

POST /predict · GET /healthz (alive) · /readyz (a verified model is loaded) · /model (contract and card)
· /metrics (Prometheus) · /docs (try it in a browser). SIGTERM answers what was accepted, then ends; exit code 0.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import utils
from evergreen.errors import UsageError
from evergreen.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

OPTIONS = "EVERGREEN_SERVE_OPTIONS"  # how worker processes learn what the command was started with
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client lets several processes share their figures
GOODBYE_SECONDS = 10  # for answers under way when the server is told to end


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command; its workers parse them again."""
    parser = utils.parser(__doc__)
    parser.add_argument("--host", help="address to listen on (default: serving.host)")
    parser.add_argument("--port", type=int, help="port to listen on (default: serving.port)")
    parser.add_argument("--workers", type=int, help="processes that answer (default: serving.workers)")
    return parser.parse_args(argv)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings, with the options of this command on top; checked like any other setting."""
    given = {name: getattr(arguments, name) for name in ("host", "port", "workers")}
    arguments.set = [*arguments.set, *(f"serving.{name}={value}" for name, value in given.items() if value is not None)]
    return utils.settings_from(arguments)


def worker_app() -> "FastAPI":
    """The service in a worker process, from the options that its parent was started with."""
    from evergreen.serving.app import create_app

    return create_app(settings_of(parse(json.loads(os.environ[OPTIONS]))), shared_metrics=SHARED_METRICS in os.environ)


def log_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same log lines from every process: our own and uvicorn's, to standard error."""
    level = "ERROR" if arguments.quiet else "DEBUG" if arguments.verbose else "INFO"
    logger = {"handlers": ["stderr"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "utils.OneLineFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {"evergreen": logger, "uvicorn": logger | {"level": "ERROR" if arguments.quiet else "INFO"}},
    }


def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    """Serve until told to end."""
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise UsageError(f"serve.py needs {error.name}: pip install -r requirements-serve.txt") from None

    # uvicorn ends in good order and then repeats the signal to whoever had it before; that must not end us with 143.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        uvicorn.run(
            "serve:worker_app",
            factory=True,
            host=settings.serving.host,
            port=settings.serving.port,
            workers=settings.serving.workers,
            log_config=log_config(arguments),
            access_log=arguments.verbose,
            server_header=False,
            timeout_graceful_shutdown=GOODBYE_SECONDS,
        )
    except SystemExit as ended:
        if ended.code:
            where = f"{settings.serving.host}:{settings.serving.port}"
            raise UsageError(f"The server could not start on {where}; the line above has the reason.") from None


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code when it was told to end."""
    options = sys.argv[1:] if argv is None else argv
    arguments = parse(options)

    def body(arguments: argparse.Namespace) -> int:
        settings = settings_of(arguments)
        os.environ[OPTIONS] = json.dumps(options)
        # Many small requests at once are answered sooner when none of them is spread over all cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        with ExitStack() as stack:
            if settings.serving.workers > 1:
                os.environ[SHARED_METRICS] = stack.enter_context(tempfile.TemporaryDirectory(prefix="evergreen-"))
            serve(settings, arguments)
        return 0

    return utils.run(body, arguments, progress=False)


if __name__ == "__main__":
    raise SystemExit(main())
