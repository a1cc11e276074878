"""Whole commands tell a service on the loopback what they did, and tell nobody where no address is set."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from projects import make_project, world, write_table
from tests.registry.models import make_card, make_pickle, open_store, put_live

import monitor
import rollout

OLD = world(3000, seed=1)
FLIPPED = world(3000, start="2025-02-01", seed=3, flip=True)


@pytest.fixture
def told(monkeypatch):
    """The messages that arrived, as `title: body`."""
    messages = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            messages.append(f"{message['title']}: {message['message']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("EVERGREEN_ALERT_URLS", f"json://127.0.0.1:{server.server_port}/hooks")
        yield messages
        server.shutdown()


@pytest.fixture
def three(tmp_path):
    """A project in which versions 1, 2 and 3 went live, and its configuration."""
    config = make_project(tmp_path / "three", world(50))
    for number, name in enumerate(("first", "second", "third")):
        put_live(open_store(config.parent / "model"), name, number)
    return config


def test_a_roll_back_by_hand_is_told_with_its_reason_and_who_did_it(three, told):
    words = ["rollback", "--reason", "complaints", "--by", "ana", "--config", str(three), "-q"]
    assert rollout.main(words) == 0
    (message,) = told
    assert message.startswith("Evergreen: rolled back by hand: version 2 (")
    assert "again, in place of version 3 (" in message
    assert message.endswith(": By ana: complaints")


def test_a_challenger_let_in_by_hand_is_told(three, told):
    store, content = open_store(three.parent / "model"), make_pickle("fourth")
    card = make_card(content, 4, parent=store.live_digest(), reason="gain 0.03")
    store.stage(content, card)
    assert rollout.main(["promote", "--by", "ana", "--config", str(three), "-q"]) == 0
    assert told == [f"Evergreen: {card.name} was approved and is live: By ana: gain 0.03"]


def test_what_was_not_done_or_not_asked_for_is_not_told(three, told, monkeypatch):
    assert rollout.main(["promote", "--config", str(three), "-q"]) == 2
    assert rollout.main(["rollback", "--config", str(three), "-q", "--set", 'alerts.events=["drift"]']) == 0
    monkeypatch.delenv("EVERGREEN_ALERT_URLS")
    assert rollout.main(["rollback", "--to", "3", "--config", str(three), "-q"]) == 0
    assert told == []
    assert not (three.parent / "model" / "alerts.json").exists()


def test_a_change_by_hand_leaves_the_states_that_runs_have_told(three, told):
    outbox = three.parent / "model" / "alerts.json"
    outbox.write_text(json.dumps({"format": 1, "states": {"failed": True}, "pending": [], "dropped": 0}))
    assert rollout.main(["rollback", "--config", str(three), "-q"]) == 0
    assert len(told) == 1
    assert json.loads(outbox.read_text())["states"] == {"failed": True}


def test_a_run_tells_what_it_found_and_did_and_an_adopted_model_is_told_too(tmp_path, told):
    config = make_project(tmp_path / "project", OLD)
    words = ["--config", str(config), "-q"]
    assert monitor.main(words) == 0
    assert [message.partition(": The")[0] for message in told] == ["Evergreen: new model deployed"]
    write_table(config.parent, pd.concat([OLD, FLIPPED]))
    assert monitor.main([*words, "--set", "policy.mode=approve"]) == 0
    titles = [message.split(": ")[1] for message in told[1:]]
    assert titles == ["PERFORMANCE DRIFT DETECTED!", "a challenger waits for approval"]
    assert "table.csv" in told[-1]

    other = make_project(tmp_path / "other", OLD)
    shutil.copy(config.parent / "model" / "model.pkl", other.parent / "ours.pkl")
    adopt = ["adopt", str(other.parent / "ours.pkl"), "--by", "ana", "--reason", "begin", "--config", str(other), "-q"]
    assert rollout.main(adopt) == 0
    assert told[-1].startswith("Evergreen: version 1 (")
    assert told[-1].endswith(" was adopted and is live: By ana: begin")
