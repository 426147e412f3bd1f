"""A scrape, as Prometheus takes it."""

from __future__ import annotations

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from cordum.api.metrics import exposition
from cordum.engine import Metric


def test_a_real_scrape_is_what_prometheus_reads(server, engine, run_id):
    with urlopen(f"{server.url}/metrics") as answered:
        assert answered.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(answered.read().decode())}
    assert len(families) == len(engine.metrics())
    assert all(name.startswith("cordum_") and family.documentation for name, family in families.items())
    assert families["cordum_runs_started"].type == "counter"
    (started,) = families["cordum_runs_started"].samples
    assert (started.name, started.value) == ("cordum_runs_started_total", 1)
    open_runs = {sample.labels["status"]: sample.value for sample in families["cordum_runs_open"].samples}
    assert open_runs == {"pending": 0, "running": 0, "waiting": 1, "paused": 0}
    assert families["cordum_approvals_waiting"].samples[0].value == 1
    assert [sample.labels for sample in families["cordum_queue_depth"].samples] == [{"topic": "job.deploy"}]


def test_a_scrape_takes_no_parameters(api):
    assert api.get("/metrics?name=x").status_code == api.get("/readyz?name=x").status_code == 422


def test_whatever_a_label_holds_is_read_back():
    strange = 'a"b\\c\nd'
    text = exposition([Metric("cordum_x", "gauge", "Help", {(("topic", strange),): 0.5})])
    ((family),) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"topic": strange}
    assert family.samples[0].value == 0.5


def test_a_histogram_is_read_back(engine):
    families = text_string_to_metric_families(exposition(engine.metrics()))
    (lateness,) = [family for family in families if family.name == "cordum_timer_lateness_seconds"]
    assert lateness.type == "histogram"
    names = [sample.name.removeprefix(lateness.name) for sample in lateness.samples]
    assert names == ["_bucket"] * 10 + ["_sum", "_count"]
