from __future__ import annotations

import pytest

from cordum.api import create_app
from cordum.engine import Caller

RUNS = "/api/v1/workflow-runs"


@pytest.fixture
def cursor(api, ship) -> str:
    """The cursor to the second of two pages of all waiting runs."""
    for _ in range(2):
        api.post("/api/v1/workflows/ship/runs", json={})
    return str(api.get(f"{RUNS}?status=waiting&limit=1").json["next_cursor"])


def status_of(api, path, cursor, headers=None, **filters):
    answered = api.get(path, query_string={"cursor": cursor, **filters}, headers=headers)
    return answered.status_code, answered.json["code"] if answered.status_code >= 400 else None


REFUSED = (422, "cursor_invalid")


def test_cursor_works_for_its_own_list_with_any_limit(api, cursor):
    assert len(api.get(f"{RUNS}?status=waiting&limit=7&cursor={cursor}").json["items"]) == 1


def test_cursor_of_another_tenant_is_refused(api, cursor):
    assert status_of(api, RUNS, cursor, {"X-Tenant-ID": "other"}, status="waiting") == REFUSED


def test_cursor_of_another_list_or_filter_is_refused(api, cursor):
    assert status_of(api, "/api/v1/approvals", cursor) == REFUSED
    assert status_of(api, RUNS, cursor, status="failed") == REFUSED


@pytest.mark.parametrize("forged", ["1", "IjEi", "IjEi.AAAA", ".", "é", "\x00", "x" * 1024])
def test_forged_cursor_is_refused(api, ship, forged):
    assert status_of(api, RUNS, forged) == REFUSED


def test_changed_cursor_is_refused(api, cursor):
    position, _, signature = cursor.partition(".")
    assert status_of(api, RUNS, f"{position}A.{signature}", status="waiting") == REFUSED


def test_processes_that_share_a_key_share_cursors(engine, settings, ship):
    for _ in range(2):
        engine.start_run(Caller("default"), ship, {})
    one, two, stranger = (create_app(engine, settings, cursor_key=key).test_client() for key in (b"k", b"k", b"s"))
    cursor = one.get(f"{RUNS}?limit=1").json["next_cursor"]
    assert len(two.get(f"{RUNS}?cursor={cursor}").json["items"]) == 1
    assert status_of(stranger, RUNS, cursor) == REFUSED
