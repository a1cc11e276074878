"""The service over real HTTP on loopback: answers, refusals, health, and models exchanged under load."""

import concurrent.futures
import json
import re
import socket
import threading
import time

import httpx
import jsonschema
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.small_store import (
    GOOD_ROW,
    SmallStore,
    constant_model,
    contract_of,
    customers,
    server_of,
    train,
)

from evergreen.data.schema import conform
from evergreen.serving import live_model
from evergreen.serving.app import create_app
from evergreen.settings import ServingSettings

LIMITS = ServingSettings(max_rows=50, max_body_mb=0.1)


def app_over(store, limits=LIMITS):
    return create_app(store.settings.model_copy(update={"serving": limits}))


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    """A served classifier: its frame, contract, model, card and a client."""
    folder = tmp_path_factory.mktemp("churn")
    frame, store = customers(), SmallStore(folder)
    contract = contract_of(frame, folder)
    model = train(frame, contract)
    card = store.deploy(model, contract)
    with server_of(app_over(store)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield frame, contract, model, card, client


def figures(client):
    """The figures at /metrics, by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


# Predictions


def test_one_row_is_predicted_with_its_probabilities_and_the_model_that_did_it(churn):
    *_, card, client = churn
    answer = client.post("/predict", json={"row": GOOD_ROW})
    assert answer.status_code == 200
    document = answer.json()
    assert document["model"] == {"digest": card.digest, "version": 1}
    assert document["predictions"][0] in (0, 1)  # the target's own type
    assert sum(document["probabilities"][0].values()) == pytest.approx(1)
    assert document["probabilities"][0].keys() == {"0", "1"}
    assert document["warnings"] == []


def test_many_rows_are_answered_as_the_model_itself_answers_them(churn):
    frame, contract, model, _, client = churn
    rows = json.loads(frame.head(50).drop(columns="churned").to_json(orient="records"))
    document = client.post("/predict", json={"rows": rows}).json()
    features = conform(frame.head(50), contract)
    assert document["predictions"] == model.predict(features).tolist()
    mine = np.array([[row["0"], row["1"]] for row in document["probabilities"]])
    assert np.array_equal(mine, model.predict_proba(features))


@pytest.mark.parametrize(
    ("target", "labels"), [("mood", {"grumpy", "happy"}), ("gone", {True, False}), ("spend", None)]
)
def test_predictions_come_back_in_the_targets_own_type(tmp_path, target, labels):
    frame, store = customers(target=target), SmallStore(tmp_path)
    contract = contract_of(frame, tmp_path, target)
    store.deploy(train(frame, contract), contract)
    with server_of(app_over(store)) as address:
        rows = [{**GOOD_ROW, "age": age} for age in range(18, 68)]
        document = httpx.post(f"{address}/predict", json={"rows": rows}).json()
    if labels is None:
        assert document["probabilities"] is None
        assert all(isinstance(value, float) for value in document["predictions"])
    else:
        assert set(document["predictions"]) == labels
        assert document["probabilities"][0].keys() == {x if isinstance(x, str) else json.dumps(x) for x in labels}


def test_an_unseen_category_is_predicted_and_warned_about(churn):
    *_, client = churn
    before = figures(client)[("evergreen_unseen_categories_total",)]
    rows = [GOOD_ROW, {**GOOD_ROW, "plan": "gold"}, {**GOOD_ROW, "plan": "silver"}]
    document = client.post("/predict", json={"rows": rows}).json()
    assert len(document["predictions"]) == 3
    assert document["warnings"] == [{"feature": "plan", "warning": "unseen_category", "rows": 2, "first_row": 1}]
    assert figures(client)[("evergreen_unseen_categories_total",)] == before + 2


def test_missing_values_are_null_and_welcome(churn):
    *_, client = churn
    assert client.post("/predict", json={"row": dict.fromkeys(GOOD_ROW)}).status_code == 200


# Refusals


def post(client, body, content_type="application/json"):
    headers = {"Content-Type": content_type} if content_type else {}
    return client.post("/predict", content=body, headers=headers)


GOOD = json.dumps({"row": GOOD_ROW}).encode()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (GOOD, "application/json; charset=utf-8", 200),
        (GOOD, "Application/JSON", 200),
        (GOOD, "text/plain", 415),
        (GOOD, "application/x-www-form-urlencoded", 415),
        (GOOD, "multipart/form-data; boundary=x", 415),
        (GOOD, "application/octet-stream", 415),
        (GOOD, "", 415),
        (b"", "application/json", 400),
        (b'{"row": {"age": NaN}}', "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"\x80\x04\x95", "application/json", 400),
        (b"\x1f\x8b\x08", "application/json", 400),
        (GOOD.replace(b"42", b"1e400"), "application/json", 422),
        (GOOD.replace(b"42", b"-1e400"), "application/json", 422),
        (GOOD.replace(b"42", b"false"), "application/json", 422),
        (GOOD.replace(b'"basic"', b'"\\ud800"'), "application/json", 422),
        (GOOD.replace(b'"plan"', b'"\\ud800"'), "application/json", 422),
        (GOOD.replace(b'"basic"', b'"\\u0000"'), "application/json", 200),
        (GOOD.replace(b"42", b"-0"), "application/json", 200),
        (b'{"rows": []}', "application/json", 422),
        (json.dumps({"rows": [GOOD_ROW] * 50}).encode(), "application/json", 200),
        (json.dumps({"rows": [GOOD_ROW] * 51}).encode(), "application/json", 422),
        (b" " * 100_001, "application/json", 413),
    ],
)
def test_a_bad_request_gets_its_status_and_never_500(churn, body, content_type, status):
    *_, client = churn
    answer = post(client, body, content_type)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json().keys() == {"detail", "problems", "total"}


def test_a_refusal_names_row_and_feature_and_echoes_nothing(churn):
    *_, client = churn
    rows = [GOOD_ROW, {**GOOD_ROW, "age": "SECRET", "incom": 3}]
    answer = client.post("/predict", json={"rows": rows})
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": "The rows do not fit the model's contract, which is at /model.",
        "problems": [
            {"problem": "expected a finite number or null", "row": 1, "feature": "age"},
            {"problem": "the model does not know this feature; did you mean 'income'?", "row": 1, "feature": "incom"},
        ],
        "total": 2,
    }


def raw(address, request):
    """Send bytes and read what comes back until the server closes or falls silent."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_a_body_without_length_is_cut_off_at_the_limit(churn):
    *_, client = churn

    def flood():
        for _ in range(1000):
            yield b" " * 10_000

    answer = client.post("/predict", content=flood(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["99999999999", "-1", "abc", "1, 2"])
def test_a_lying_length_is_refused(churn, length):
    *_, client = churn
    lines = ["POST /predict HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
    answer = raw(str(client.base_url), "\r\n".join([*lines, "", "{}"]).encode())
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer


def test_a_foreign_host_name_is_refused_on_a_local_address(churn):
    *_, client = churn
    assert client.get("/model", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/model", headers={"Host": "localhost:5000"}).status_code == 200


def test_any_host_name_is_fine_on_a_public_address(tmp_path):
    app = app_over(SmallStore(tmp_path), LIMITS.model_copy(update={"host": "0.0.0.0"}))
    with server_of(app) as address:
        assert httpx.get(f"{address}/healthz", headers={"Host": "models.example"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("TRACE", "/predict", 405), ("POST", "/healthz", 405), ("GET", "/../model.pkl", 404)],
)
def test_other_ways_in_are_closed(churn, method, path, status):
    *_, client = churn
    assert client.request(method, path).status_code == status


class Moody:
    """A model that fails on the rows it does not like, though they fit the contract."""

    classes_ = ("0", "1")

    def predict(self, features):
        if features["age"].isna().any():
            raise ValueError(f"SECRET {features}")
        return np.array(["0"] * len(features))


def test_a_model_that_fails_on_fitting_rows_is_a_refusal_a_figure_and_a_log_line(tmp_path, caplog):
    store = SmallStore(tmp_path)
    store.deploy(Moody(), contract_of(customers(), tmp_path))
    with server_of(app_over(store)) as address, httpx.Client(base_url=address) as client:
        assert client.post("/predict", json={"row": GOOD_ROW}).json()["predictions"] == [0]
        answer = client.post("/predict", json={"row": {**GOOD_ROW, "age": None}})
        assert answer.status_code == 422
        assert "SECRET" not in answer.text
        assert "SECRET" in caplog.text
        assert figures(client)[("evergreen_prediction_failures_total",)] == 1


# Health and the model's card


def test_the_card_says_what_to_send(churn):
    *_, card, client = churn
    document = client.get("/model").json()
    assert (document["digest"], document["version"], document["target"]) == (card.digest, 1, "churned")
    assert [(each["name"], each["kind"]) for each in document["features"]] == [
        ("age", "number"),
        ("income", "number"),
        ("member", "boolean"),
        ("plan", "category"),
    ]
    assert set(document["features"][3]["categories"]) == {"basic", "plus", "pro"}
    assert document["baseline"] == {"accuracy": {"value": 0.8}}


def test_a_loaded_model_is_ready(churn):
    *_, card, client = churn
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "model": {"digest": card.digest, "version": 1}, "problem": None}


def test_without_a_model_it_is_alive_not_ready_and_says_what_to_do(tmp_path):
    with server_of(app_over(SmallStore(tmp_path))) as address, httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert "Train the first one" in client.get("/readyz").json()["problem"]
        for answer in (client.get("/model"), client.post("/predict", json={"row": GOOD_ROW})):
            assert answer.status_code == 503
            assert answer.json()["detail"] == "There is no model in service; /readyz has the reason."
        assert figures(client)[("evergreen_ready",)] == 0


def test_the_description_of_the_service_names_every_answer(churn):
    *_, client = churn
    description = client.get("/openapi.json").json()
    predict = description["paths"]["/predict"]["post"]
    assert set(predict["responses"]) == {"200", "400", "408", "413", "415", "422", "503"}
    assert client.get("/docs").status_code == 200


def schema_of(client):
    body = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    return body["content"]["application/json"]["schema"]


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        ({"row": GOOD_ROW}, True),
        ({"rows": [GOOD_ROW, {**GOOD_ROW, "age": None, "customer_id": 7}]}, True),
        ({"row": {**GOOD_ROW, "plan": 7}}, True),
        ({"row": {**GOOD_ROW, "age": "42"}}, False),
        ({"row": {**GOOD_ROW, "member": "yes"}}, False),
        ({"row": {**GOOD_ROW, "odd": 1}}, False),
        ({"row": {"age": 42}}, False),
        ({"rows": []}, False),
        ({"rows": [GOOD_ROW] * 51}, False),
        ({"row": GOOD_ROW, "rows": [GOOD_ROW]}, False),
    ],
)
def test_the_description_knows_the_features_of_the_model_as_the_server_does(churn, document, fits):
    *_, client = churn
    assert jsonschema.Draft202012Validator(schema_of(client)).is_valid(document) == fits
    assert (client.post("/predict", json=document).status_code == 200) == fits


def test_the_description_follows_the_model_in_service(tmp_path, quick_looks):
    frame, store = customers(target="spend"), SmallStore(tmp_path)
    with server_of(app_over(store)) as address, httpx.Client(base_url=address) as client:
        row = schema_of(client)["oneOf"][0]["properties"]["row"]
        assert "properties" not in row
        store.deploy(constant_model(1), contract_of(frame, tmp_path, "spend"), 1)
        wait_until(lambda: client.get("/readyz").status_code == 200)
        row = schema_of(client)["oneOf"][0]["properties"]["row"]
        assert row["required"] == ["age", "income", "member", "plan"]


# Figures


def test_requests_are_counted_by_route_and_status(churn):
    *_, client = churn
    before = figures(client)
    client.post("/predict", json={"rows": [GOOD_ROW] * 3})
    client.post("/predict", json={"rows": [{**GOOD_ROW, "age": "x"}] * 2})
    after = figures(client)
    for key, gained in {
        ("evergreen_requests_total", "/predict", "200"): 1,
        ("evergreen_requests_total", "/predict", "422"): 1,
        ("evergreen_request_seconds_count", "/predict"): 2,
        ("evergreen_rows_predicted_total",): 3,
        ("evergreen_rows_refused_total",): 2,
    }.items():
        assert after[key] - before.get(key, 0) == gained, key
    assert after[("evergreen_model_version",)] == 1
    assert after[("evergreen_model_reloads_total",)] == 1


def test_no_client_can_make_the_figures_grow(churn):
    *_, client = churn
    client.get("/nothing")
    client.post("/predict", json={"row": {"odd": 1}})
    before = figures(client).keys()
    for number in range(300):
        client.get(f"/nothing/{number}", headers={"X-Forwarded-For": str(number), "User-Agent": f"agent {number}"})
        client.post("/predict", json={"row": {f"odd_{number}": number}})
    assert figures(client).keys() == before


# Models exchanged while it serves


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(live_model, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(live_model, "RETRY_SECONDS", 0.1)


def wait_until(condition, seconds=20):
    for _ in range(seconds * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def test_models_exchanged_under_load_give_no_error_and_no_mixed_answer(tmp_path, quick_looks):
    frame, store = customers(target="spend"), SmallStore(tmp_path)
    contract = contract_of(frame, tmp_path, "spend")
    store.deploy(constant_model(1), contract, 1)
    ended, versions = threading.Event(), set()

    def ask(address):
        asked = 0
        with httpx.Client(base_url=address, timeout=30) as client:
            while not ended.is_set():
                answer = client.post("/predict", json={"rows": [GOOD_ROW] * 3})
                assert answer.status_code == 200, answer.text
                document = answer.json()
                version = document["model"]["version"]
                assert document["predictions"] == [float(version)] * 3
                versions.add(version)
                asked += 1
        return asked

    with server_of(app_over(store)) as address, concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, address) for _ in range(4)]
        try:
            for version in range(2, 52):
                store.deploy(constant_model(version), contract, version)
                time.sleep(0.05)
            wait_until(lambda: 51 in versions or any(each.done() for each in asking))
        finally:
            ended.set()
        assert sum(each.result() for each in asking) > 100
        assert max(versions) == 51
        assert len(versions) > 10
        client = httpx.Client(base_url=address)
        assert figures(client)[("evergreen_model_version",)] == 51
        assert figures(client)[("evergreen_model_reload_failures_total",)] == 0


def test_a_broken_live_file_leaves_the_last_good_model_answering_and_is_shown(tmp_path, quick_looks):
    frame, store = customers(target="spend"), SmallStore(tmp_path)
    contract = contract_of(frame, tmp_path, "spend")
    store.deploy(constant_model(1), contract, 1)
    with server_of(app_over(store)) as address, httpx.Client(base_url=address) as client:
        good = store.store.model_path.read_bytes()
        store.store.model_path.write_bytes(good[:-5])
        wait_until(lambda: client.get("/readyz").json()["problem"])
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["model"]["version"] == 1
        assert client.post("/predict", json={"row": GOOD_ROW}).json()["predictions"] == [1.0]
        assert figures(client)[("evergreen_model_reload_failures_total",)] >= 1
        store.store.model_path.write_bytes(good)
        wait_until(lambda: not client.get("/readyz").json()["problem"])


def test_a_problem_that_stays_is_logged_once_and_counted_every_time(tmp_path, quick_looks, caplog):
    with server_of(app_over(SmallStore(tmp_path))) as address, httpx.Client(base_url=address) as client:
        wait_until(lambda: figures(client)[("evergreen_model_reload_failures_total",)] >= 3)
    assert caplog.text.count("there is no model") == 1


def test_the_first_model_is_taken_into_service_without_a_restart(tmp_path, quick_looks):
    frame, store = customers(target="spend"), SmallStore(tmp_path)
    contract = contract_of(frame, tmp_path, "spend")
    with server_of(app_over(store)) as address, httpx.Client(base_url=address) as client:
        assert client.get("/readyz").status_code == 503
        store.deploy(constant_model(1), contract, 1)
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/predict", json={"row": GOOD_ROW}).json()["predictions"] == [1.0]
