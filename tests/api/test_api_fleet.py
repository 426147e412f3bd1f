from __future__ import annotations

import pytest

from cordum.domain.roles import Role
from cordum.engine import WorkerInfo
from tests.api.keyring import headers

WHY = {"reason": "an update"}


@pytest.fixture
def worker(engine):
    info = WorkerInfo("w1@h/7-1", "h", "w1", 7, 4, ("job.a",), 0, ("gpu",), {"region": "eu"}, ("cuda",))
    engine.jobs.register(info)
    return "w1@h.7-1"


def test_workers_are_listed_and_read_by_id_and_name(api, worker):
    listed = api.get("/api/v1/workers").json["items"]
    assert [one["id"] for one in listed] == [worker]
    for name in (worker, "w1@h"):
        assert api.get(f"/api/v1/workers/{name}").json == listed[0]
    assert (listed[0]["labels"], listed[0]["capabilities"], listed[0]["pools"]) == ({"region": "eu"}, ["cuda"], ["gpu"])
    assert api.get("/api/v1/workers/w2@h").status_code == 404


def test_a_worker_and_a_pool_are_drained_and_opened(api, worker):
    for path in (f"/api/v1/workers/{worker}/drain", "/api/v1/pools/gpu/drain"):
        assert api.post(path, json=WHY).status_code == 200
        assert api.get(f"/api/v1/workers/{worker}").json["status"] == "draining"
        assert api.delete(path, json=WHY).status_code == 200
        assert api.get(f"/api/v1/workers/{worker}").json["status"] == "ready"


def test_a_queue_is_paused_and_resumed(api, worker):
    paused = api.post("/api/v1/queues/job.a/pause", json={"reason": "later"}, headers={"X-Principal-Id": "ann"}).json
    assert (paused["paused"]["by"], paused["paused"]["reason"]) == ("ann", "later")
    assert [one["name"] for one in api.get("/api/v1/queues").json["items"]] == ["job.a"]
    assert api.post("/api/v1/queues/job.a/resume", json=WHY).json["paused"] is None
    assert api.post("/api/v1/queues/nonsense/pause", json=WHY).status_code == 404


def test_they_are_for_who_looks_after_the_cell(api, engine, worker):
    outsider, root = headers(engine, "acme", "ann"), headers(engine, "default", "root")
    for path in ("/api/v1/workers", "/api/v1/queues", f"/api/v1/workers/{worker}"):
        assert api.get(path, headers=outsider).json["code"] == "cell_admin_needed"
        assert api.get(path, headers=root).status_code == 200
    viewer = headers(engine, "default", "vic", Role.VIEWER)
    assert api.post("/api/v1/queues/job.a/pause", headers=viewer).json["code"] == "role_needed"


def test_pools_and_topics_are_made_changed_and_taken_away(api):
    assert api.get("/api/v1/pools").json["items"] == api.get("/api/v1/topics").json["items"] == []
    made = api.put("/api/v1/pools/gpu", json={"requires": ["cuda"], "max_parallel": 4})
    assert (made.status_code, made.json["requires"], made.json["topics"]) == (200, ["cuda"], [])
    assert api.post("/api/v1/topics", json={"topic": "job.gpu.*", "pools": ["gpu"]}).status_code == 201
    assert api.get("/api/v1/topics").json["items"] == [{"id": "job.gpu.*", "topic": "job.gpu.*", "pools": ["gpu"]}]
    assert api.get("/api/v1/pools/gpu").json["topics"] == ["job.gpu.*"]
    assert api.delete("/api/v1/pools/gpu").json["code"] == "pool_in_use"
    assert api.delete("/api/v1/topics?topic=job.gpu.*").status_code == 204
    assert api.delete("/api/v1/topics?topic=job.gpu.*").status_code == 404
    assert api.delete("/api/v1/pools/gpu").status_code == 204
    told = api.get("/api/v1/audit?order=asc").json["items"]
    changes = [(one["type"], one["actor"], one["subject"]) for one in told if one["subject"].startswith("pools:")]
    kinds = ("pool.saved", "topic.saved", "topic.deleted", "pool.deleted")
    assert changes == [(kind, "anonymous", f"pools:{epoch}") for epoch, kind in enumerate(kinds, 1)]
    assert api.get("/api/v1/pools/gpu").status_code == api.delete("/api/v1/pools/gpu").status_code == 404


@pytest.mark.parametrize(
    "body", [{"requires": "x"}, {"max_parallel": 0}, {"max_parallel": True}, {"description": 1}, {"colour": "red"}]
)
def test_a_pool_that_is_not_one_is_refused_with_its_place(api, body):
    refused = api.put("/api/v1/pools/gpu", json=body)
    assert (refused.status_code, bool(refused.json["errors"][0]["path"])) == (422, True)


def test_a_topic_names_pools_that_exist(api):
    refused = api.post("/api/v1/topics", json={"topic": "job.a", "pools": "nowhere"})
    assert (refused.status_code, "there is no pool nowhere" in refused.text) == (422, True)
