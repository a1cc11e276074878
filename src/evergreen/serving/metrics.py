"""What the server counts, for Prometheus. Every label has a fixed set of values, so no client can grow it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

ROUTES = frozenset({"/predict", "/healthz", "/readyz", "/model", "/metrics"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one server process; with `shared`, the sum over all its worker processes is shown.

    Sharing goes through files in the folder that `PROMETHEUS_MULTIPROC_DIR` names, which has to be set
    before prometheus_client is imported.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", ("route", "status"))
        self.seconds = Histogram(
            "evergreen_request_seconds",
            "Seconds from a request to its whole answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = self._counter("rows_predicted", "Rows predicted.")
        self.refused = self._counter("rows_refused", "Rows in requests that were refused for what is in them.")
        self.unseen = self._counter("unseen_categories", "Values of categories that the model never saw in training.")
        self.failures = self._counter("prediction_failures", "Requests on which the model itself failed.")
        self.reloads = self._counter("model_reloads", "Models taken into service, the first one included.")
        self.reload_failures = self._counter("model_reload_failures", "Attempts to load the live model that failed.")
        self.version = self._gauge("model_version", "Version of the model that answers; the oldest of all workers.")
        self.ready = self._gauge("ready", "1 when a verified model is loaded, in every worker.")

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request; paths that are none of ours are one label together."""
        route = path if path in ROUTES else "other"
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """All figures in the text format of Prometheus."""
        if not self.shared:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"evergreen_{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"evergreen_{name}", text, registry=self.registry, multiprocess_mode="livemin")
