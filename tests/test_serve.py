"""serve.py as the process that runs in production: starts, answers, takes new models, ends in good order."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.serving.small_store import GOOD_ROW, SmallStore, constant_model, contract_of, customers

import serve
from evergreen.errors import UsageError

ROOT = Path(__file__).parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def models(tmp_path):
    store = SmallStore(tmp_path)
    contract = contract_of(customers(target="spend"), tmp_path, "spend")
    store.deploy(constant_model(1), contract, 1)
    (tmp_path / "config.toml").touch()
    return store, contract, tmp_path / "config.toml"


class Served:
    """A serve.py process and a client to it."""

    def __init__(self, config, *options, cwd=ROOT):
        port = free_port()
        script = "src/serve.py" if cwd == ROOT else "serve.py"
        command = [sys.executable, script, "--config", str(config), "--port", str(port), *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=cwd, start_new_session=True, **pipes)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def __enter__(self):
        for _ in range(600):
            try:
                if self.client.get("/readyz").status_code == 200:
                    return self
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        raise AssertionError("the server did not become ready")

    def __exit__(self, *_):
        self.client.close()
        with contextlib.suppress(ProcessLookupError):  # its workers too, when a test failed
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


@pytest.mark.parametrize("folder", [".", "src"])
def test_it_answers_from_wherever_it_is_started_and_ends_with_0_on_sigterm(models, folder):
    *_, config = models
    with Served(config, cwd=ROOT / folder if folder == "src" else ROOT) as served:
        answer = served.client.post("/predict", json={"row": GOOD_ROW})
        assert answer.json()["predictions"] == [1.0]
        assert "server" not in answer.headers
        out, log = served.end()
    assert served.process.returncode == 0
    assert out == ""
    assert "now serving version 1" in log
    assert "Traceback" not in log


def test_every_worker_takes_the_new_model_and_the_figures_are_of_all_of_them(models):
    store, contract, config = models
    with Served(config, "--workers", "2") as served:
        store.deploy(constant_model(2), contract, 2)
        in_a_row = asked = 0
        while in_a_row < 40:
            assert asked < 3000
            with httpx.Client(base_url=served.client.base_url) as fresh:  # a new connection may reach either worker
                document = fresh.post("/predict", json={"row": GOOD_ROW}).json()
            asked += 1
            assert document["predictions"] == [float(document["model"]["version"])]
            in_a_row = in_a_row + 1 if document["model"]["version"] == 2 else 0
        figures = served.client.get("/metrics").text
        assert f'evergreen_requests_total{{route="/predict",status="200"}} {asked}.0' in figures
        assert f"evergreen_rows_predicted_total {asked}.0" in figures
        out, log = served.end()
    assert served.process.returncode == 0
    assert log.count("now serving version 2") == 2
    assert out == ""


def test_a_request_under_way_is_answered_before_it_ends(models):
    *_, config = models
    with Served(config) as served:
        body = json.dumps({"rows": [GOOD_ROW] * 1000}).encode()
        lines = ["POST /predict HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        with socket.create_connection(("127.0.0.1", served.client.base_url.port), timeout=30) as connection:
            connection.sendall(head + body[:100])
            served.client.get("/healthz")  # by now the server has the first half
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert served.process.poll() is None
            connection.sendall(body[100:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert served.process.wait(timeout=30) == 0
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 1000


def test_without_a_model_it_starts_all_the_same_and_waits_for_one(tmp_path):
    (tmp_path / "config.toml").touch()
    port = free_port()
    command = [sys.executable, "src/serve.py", "--config", str(tmp_path / "config.toml"), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
                break
            except httpx.TransportError:
                time.sleep(0.05)
        else:
            raise AssertionError("it did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "there is no model" in log


def test_a_taken_port_is_a_message_not_a_traceback(models):
    *_, config = models
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "src/serve.py", "--config", str(config), "--port", str(port)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert f"could not start on 127.0.0.1:{port}" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "serving.port"),
        (["--workers", "0"], "serving.workers"),
        (["--set", "serving.prot=1"], "port"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(tmp_path, options, message, capsys):
    (tmp_path / "config.toml").touch()
    assert serve.main(["--config", str(tmp_path / "config.toml"), *options]) == 2
    assert message in capsys.readouterr().err


def test_options_win_over_the_settings_file(tmp_path):
    (tmp_path / "config.toml").write_text('[serving]\nport = 6000\nhost = "0.0.0.0"\n')
    settings = serve.settings_of(serve.parse(["--config", str(tmp_path / "config.toml"), "--port", "7000"]))
    assert (settings.serving.host, settings.serving.port) == ("0.0.0.0", 7000)


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    arguments = serve.parse([])
    with pytest.raises(UsageError, match=r"pip install -r requirements-serve.txt"):
        serve.serve(serve.settings_of(arguments), arguments)


def test_help_needs_none_of_the_heavy_packages():
    code = (
        "import sys, serve\n"
        "try: serve.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "--workers" in ran.stdout
    assert not any(
        f"'{name}'" in ran.stderr for name in ("fastapi", "uvicorn", "sklearn", "pandas", "numpy", "pyarrow")
    )
