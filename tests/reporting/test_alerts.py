"""Who is told what, once, and what happens while nobody can be reached."""

import email
import email.policy
import json
import logging
import socket
import socketserver
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import report_samples as samples

from evergreen.reporting.alerts import Alert, Outbox, alert_changes, deliver, read_outbox, send_alerts
from evergreen.settings import AlertSettings

NOW = datetime(2026, 11, 21, 20, 9, 39, tzinfo=UTC)
SETTINGS = AlertSettings(timeout="5s")
SECRET = "hunter2canary"


def titles(document, states):
    alerts, states = alert_changes(document, states)
    return [(alert.event, alert.title.removeprefix("Evergreen: ")) for alert in alerts], states


def told(documents):
    """What a sequence of runs tells, run by run."""
    states, story = {}, []
    for document in documents:
        said, states = titles(document, states)
        story.append([title for _, title in said])
    return story


def drifted():
    return samples.full() | {"deployed": False, "training": None, "comparison": None}


def unknown():
    document = samples.quiet()
    document["drift"] |= {"verdict": "not_enough_evidence", "performance": None, "predictions": None}
    return document


# What is told --------------------------------------------------------------------------------------


def test_a_calm_run_tells_nobody_anything():
    assert told([samples.quiet(), samples.quiet(), samples.nothing_new()]) == [[], [], []]


def test_drift_is_told_when_it_begins_and_when_it_has_cleared_and_not_in_between():
    began = ["DATA DRIFT DETECTED!", "PERFORMANCE DRIFT DETECTED!"]
    cleared = ["drift has cleared", "performance is within its limit again"]
    assert told([drifted(), drifted(), samples.quiet(), samples.quiet(), drifted()]) == [began, [], cleared, [], began]


def test_a_run_that_could_not_judge_neither_clears_nor_raises():
    assert told([drifted(), unknown(), samples.nothing_new(), drifted()])[1:] == [[], [], []]
    assert told([unknown()]) == [[]]


def test_prediction_drift_alone_is_told_and_is_not_cleared_while_it_lasts():
    document = samples.quiet()
    document["drift"]["predictions"]["verdict"] = "drift"
    story = told([document, document, samples.quiet()])
    assert story == [["PREDICTION DRIFT DETECTED!"], [], ["drift has cleared"]]


def test_bad_data_is_told_once_and_so_is_its_end():
    story = told([samples.bad_data(), samples.bad_data(), samples.failed(), samples.quiet()])
    assert story[:2] == [["BAD DATA, nothing is trained"], []]
    assert story[2:] == [["RUN FAILED!"], ["runs succeed again", "the data can be trusted again"]]


def test_failing_is_told_once_and_so_is_its_end():
    failed = samples.failed()
    story = told([failed, failed, samples.nothing_new(), samples.nothing_new()])
    assert story == [["RUN FAILED!"], [], ["runs succeed again"], []]


def test_a_failed_run_says_nothing_on_drift_it_did_not_look_at():
    failed = samples.failed()
    assert told([drifted(), failed, samples.nothing_new()])[1:] == [["RUN FAILED!"], ["runs succeed again"]]


@pytest.mark.parametrize(
    ("document", "event"),
    [
        (samples.first_run(), "deployed"),
        (samples.quiet() | {"rolled_back": True}, "rolled_back"),
        (samples.quiet() | {"training": samples.training("size", "rejected")}, "rejected"),
    ],
)
def test_what_happens_is_told_each_time(document, event):
    for _ in range(2):
        assert [name for name, _ in titles(document, {})[0]] == [event]


def test_a_challenger_that_waits_for_approval_is_not_a_rejected_one():
    waiting = samples.waiting()
    assert "rejected" not in [event for event, _ in titles(waiting, {})[0]]
    assert "rejected" in [event for event, _ in titles(samples.rejected(), {})[0]]


def test_the_message_is_one_plain_paragraph_that_says_where_it_comes_from():
    document = drifted()
    document["drift"]["columns"][0]["name"] = "<b>x</b>\n=cmd\x1b[31m"
    alert = alert_changes(document, {})[0][0]
    assert alert.body.startswith("2 of 11 columns drifted in 4,652 new rows: <b>x</b>\\n=cmd\\x1b[31m and plan")
    assert alert.body.endswith("(data/customers.csv, 20261121T200939Z-1a2b)")
    assert "\n" not in alert.body and len(alert.body) <= 1800


# Delivery ------------------------------------------------------------------------------------------


class Endpoint:
    """A chat service on the loopback that behaves in one of the ways services do."""

    def __init__(self, behaviour):
        self.behaviour, self.messages, self.released = behaviour, [], threading.Event()
        self.answering = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                endpoint.answering += 1
                endpoint.answer(self)
                endpoint.answering -= 1

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request):
        if self.behaviour == "hangs":
            self.released.wait(30)
            return
        request.send_response(500 if self.behaviour == "fails" else 200)
        size = 10_000_000 if self.behaviour == "floods" else 1000 if self.behaviour == "drips" else 0
        request.send_header("Content-Length", str(size))
        request.end_headers()
        if self.behaviour == "drips":
            while not self.released.wait(0.2):
                request.wfile.write(b".")
                request.wfile.flush()
        else:
            request.wfile.write(b"x" * size)

    @property
    def url(self):
        return f"json://someone:{SECRET}@127.0.0.1:{self.server.server_port}/hooks/{SECRET}?+X-Token={SECRET}"

    @property
    def titles(self):
        return [message["title"].removeprefix("Evergreen: ") for message in self.messages]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint():
    made = []

    def make(behaviour="accepts"):
        made.append(Endpoint(behaviour))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def outbox(tmp_path):
    return tmp_path / "model" / "alerts.json"


def refused_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"json://127.0.0.1:{free.getsockname()[1]}/hooks"


def test_alerts_arrive_and_nothing_is_left_over(endpoint, outbox):
    service = endpoint()
    delivery = send_alerts(samples.full(), outbox, service.url, SETTINGS, NOW)
    assert service.titles == ["DATA DRIFT DETECTED!", "PERFORMANCE DRIFT DETECTED!", "new model deployed"]
    assert service.messages[0]["message"].startswith("2 of 11 columns drifted")
    assert (delivery.arrived, delivery.pending, delivery.failing) == (3, 0, ())
    assert read_outbox(outbox) == Outbox({"failed": False, "bad data": False, "drift": True, "performance": True})


def test_the_next_run_repeats_no_state(endpoint, outbox):
    service = endpoint()
    for _ in range(3):
        send_alerts(drifted(), outbox, service.url, SETTINGS, NOW)
    send_alerts(samples.quiet(), outbox, service.url, SETTINGS, NOW)
    assert service.titles == [
        *("DATA DRIFT DETECTED!", "PERFORMANCE DRIFT DETECTED!"),
        *("drift has cleared", "performance is within its limit again"),
    ]


def test_only_the_configured_events_are_told(endpoint, outbox):
    service = endpoint()
    send_alerts(samples.full(), outbox, service.url, AlertSettings(events=("deployed",)), NOW)
    assert service.titles == ["new model deployed"]


def test_without_addresses_nothing_is_done_and_the_first_run_with_some_tells_how_things_stand(endpoint, outbox):
    send_alerts(drifted(), outbox, "  ", SETTINGS, NOW)
    assert not outbox.exists()
    service = endpoint()
    send_alerts(drifted(), outbox, service.url, SETTINGS, NOW)
    assert service.titles[0] == "DATA DRIFT DETECTED!"


@pytest.mark.parametrize("behaviour", ["fails", "refuses", "hangs", "drips"])
def test_what_does_not_arrive_is_kept_and_sent_first_in_the_next_run(endpoint, outbox, behaviour):
    service = endpoint(behaviour)
    url = refused_url() if behaviour == "refuses" else service.url
    short = AlertSettings(timeout="1s")
    delivery = send_alerts(drifted(), outbox, url, short, NOW)
    assert service.answering == (behaviour in ("hangs", "drips"))  # not waited for
    assert (delivery.arrived, delivery.pending, len(delivery.failing)) == (0, 2, 1)
    assert len(service.messages) <= 1  # whoever is down is not knocked at again for every alert
    later = endpoint()
    delivery = send_alerts(samples.quiet(), outbox, later.url, SETTINGS, NOW)
    assert later.titles[:2] == ["DATA DRIFT DETECTED!", "PERFORMANCE DRIFT DETECTED!"]
    assert later.titles[2:] == ["drift has cleared", "performance is within its limit again"]
    assert delivery.pending == 0


class Mailbox(socketserver.StreamRequestHandler):
    """The few words of SMTP that one delivery needs."""

    letters: ClassVar[list[str]] = []

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while word := self.rfile.readline()[:4].upper().decode().strip():
            self.wfile.write({"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
            if word == "DATA":
                self.letters.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"250 taken\r\n")


def test_a_mail_arrives_as_plain_text(outbox):
    document = samples.full()
    document["drift"]["columns"][0]["name"] = "<age>"
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"mailto://127.0.0.1:{server.server_address[1]}?from=a@example.org&to=b@example.org&mode=insecure"
        delivery = send_alerts(document, outbox, url, AlertSettings(events=("deployed",)), NOW)
        server.shutdown()
    assert (delivery.arrived, delivery.pending) == (1, 0)
    letter = email.message_from_string(Mailbox.letters[0], policy=email.policy.default)
    assert letter["subject"] == "Evergreen: new model deployed"
    assert letter.get_body(("html",)) is None
    assert "columns drifted in 4,652 new rows: <age> and plan" in " ".join(letter.get_content().split())


def test_an_endless_answer_does_no_harm(endpoint, outbox):
    service = endpoint("floods")
    assert send_alerts(samples.first_run(), outbox, service.url, SETTINGS, NOW).arrived == 1


def test_one_failing_address_does_not_keep_the_others_from_hearing_and_they_hear_it_once(endpoint, outbox):
    good, bad = endpoint(), endpoint("fails")
    delivery = send_alerts(samples.first_run(), outbox, f"{bad.url}, {good.url}", SETTINGS, NOW)
    assert (delivery.arrived, delivery.pending) == (0, 1)
    assert [one.startswith("json://127.0.0.1") for one in delivery.failing] == [True]
    bad.behaviour = "accepts"
    send_alerts(samples.nothing_new(), outbox, f"{good.url}, {bad.url}", SETTINGS, NOW)
    assert good.titles == ["new model deployed"]
    assert bad.titles == ["new model deployed"] * 2  # the one that failed, and again
    assert read_outbox(outbox).pending == ()


def test_an_address_taken_out_of_the_settings_is_not_waited_for(endpoint, outbox):
    good, bad = endpoint(), endpoint("fails")
    send_alerts(samples.first_run(), outbox, f"{bad.url} {good.url}", SETTINGS, NOW)
    delivery = send_alerts(samples.nothing_new(), outbox, good.url, SETTINGS, NOW)
    assert delivery.pending == 0
    assert len(good.messages) == 1


def test_the_outbox_is_bounded_and_counts_what_it_gave_up(endpoint, outbox):
    down = refused_url()
    settings = AlertSettings(max_pending=3)
    for i in range(5):
        waiting = read_outbox(outbox)
        deliver([Alert("deployed", f"t{i}", "b")], outbox, waiting, urls=down, settings=settings, now=NOW)
    kept = read_outbox(outbox)
    assert [alert.title for alert in kept.pending] == ["t2", "t3", "t4"]
    assert kept.dropped == 2


def test_an_address_that_is_none_is_said_without_repeating_it_and_the_alert_waits(outbox, caplog):
    delivery = send_alerts(samples.first_run(), outbox, f"nonsense://{SECRET}", SETTINGS, NOW)
    assert delivery.pending == 1
    assert "was not understood" in caplog.text and SECRET not in caplog.text


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", '{"states": 1}', '{"states": {}, "pending": [{}], "dropped": 0}']
)
def test_a_broken_outbox_is_said_and_replaced(endpoint, outbox, caplog, content):
    outbox.parent.mkdir()
    outbox.write_text(content)
    service = endpoint()
    send_alerts(samples.first_run(), outbox, service.url, SETTINGS, NOW)
    assert "not an outbox of ours" in caplog.text
    assert len(service.messages) == 1
    assert read_outbox(outbox).states["failed"] is False


def test_an_outbox_that_can_not_be_written_does_not_fail_the_run(endpoint, tmp_path, caplog):
    (tmp_path / "model").write_text("a file where the folder should be")
    service = endpoint()
    send_alerts(samples.first_run(), tmp_path / "model" / "alerts.json", service.url, SETTINGS, NOW)
    assert len(service.messages) == 1
    assert "can't be written" in caplog.text


def test_a_plug_in_that_raises_does_not_fail_the_run(endpoint, outbox, caplog, monkeypatch):
    import apprise

    def explode(self, *_args, **_kwargs):
        raise RuntimeError(f"token {SECRET}")

    monkeypatch.setattr(apprise.NotifyBase, "notify", explode)
    assert send_alerts(samples.first_run(), outbox, refused_url(), SETTINGS, NOW).pending == 1
    assert "raised RuntimeError" in caplog.text and SECRET not in caplog.text


@pytest.mark.parametrize("behaviour", ["accepts", "fails", "hangs"])
def test_no_secret_of_an_address_is_logged_stored_or_returned(endpoint, outbox, caplog, behaviour):
    caplog.set_level(logging.DEBUG)
    delivery = send_alerts(samples.first_run(), outbox, endpoint(behaviour).url, AlertSettings(timeout="1s"), NOW)
    everything = caplog.text + outbox.read_text() + repr(delivery)
    assert SECRET not in everything and SECRET[::-1] not in everything


@pytest.mark.parametrize(
    ("url", "kind", "secrets"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "slack", ("1JJ3T3L", "1BRTD4J", "TIiajkdn")),
        ("mailtos://ops:pa55word@example.org?to=a@example.org", "mailtos://example.org", ("pa55word", "ops")),
        ("tgram://123456789:abcdefghijklmnopqrstuvwxyz_12345678/12315544", "tgram", ("23456789", "abcdefghij")),
        ("ntfy://a-secret-topic", "ntfys", ("secret",)),
    ],
)
def test_an_address_is_named_without_what_it_takes_to_use_it(outbox, url, kind, secrets):
    from evergreen.reporting.alerts import _open_services

    names = list(_open_services(url, 1.0))
    assert len(names) == 1 and names[0].startswith(kind)
    assert not [secret for secret in secrets if secret in names[0]]


def test_an_alert_is_on_the_disk_before_it_is_sent(endpoint, outbox, monkeypatch):
    """A crash while sending may repeat an alert but never loses one."""
    from evergreen.reporting import alerts

    def crash(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(alerts, "_send_everywhere", crash)
    with pytest.raises(KeyboardInterrupt):
        send_alerts(samples.first_run(), outbox, refused_url(), SETTINGS, NOW)
    assert [alert.event for alert in read_outbox(outbox).pending] == ["deployed"]


def test_a_hanging_service_does_not_hold_up_the_end_of_the_process(endpoint, outbox):
    code = (
        "import sys; sys.path[:0] = ['src', 'tests/reporting']; import report_samples as s\n"
        "from datetime import datetime; from pathlib import Path; from evergreen.settings import AlertSettings\n"
        "from evergreen.reporting.alerts import send_alerts\n"
        "send_alerts(s.first_run(), Path(sys.argv[1]), sys.argv[2], AlertSettings(timeout='1s'), datetime.now())\n"
    )
    service = endpoint("drips")
    subprocess.run([sys.executable, "-c", code, str(outbox), service.url], check=True)
    assert len(service.messages) == 1
    assert service.answering  # still at it when the process had ended


def test_apprise_is_loaded_only_to_send():
    code = "import sys; sys.path.insert(0, 'src'); import evergreen.reporting.alerts; print('apprise' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
