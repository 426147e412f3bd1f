"""What the pages show."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from cordum.console.shown import breakable, moment, pretty, took
from cordum.engine import Caller, Engine
from tests.console.conftest import Browser, start
from tests.engine.hands import Hands


def test_the_way_in_leads_to_the_runs(browser: Browser) -> None:
    answered = browser.get("/")
    assert (answered.status_code, answered.location) == (303, "/console/runs")


def test_runs_are_listed_with_what_waits(browser: Browser, waiting: str) -> None:
    page = browser.get("/runs").text
    assert waiting in page
    assert "1 decision wait" in re.sub(r"\s+", " ", page)
    assert waiting not in browser.get("/runs?status=succeeded").text
    assert waiting in browser.get("/runs?status=waiting&workflow=ship").text
    assert waiting not in browser.get("/runs?workflow=other").text


def test_an_empty_cordum_says_what_to_do(browser: Browser) -> None:
    assert "cordum run" in browser.get("/runs").text
    assert "Nothing waits" in browser.get("/approvals").text


def test_more_runs_than_a_page_holds_go_on_behind_a_link(browser: Browser, engine: Engine) -> None:
    engine.save_workflow("default", b"id: w\nsteps: {}", "yaml")
    ids = [engine.start_run(Caller("default"), "w", {}).run["id"] for _ in range(27)]
    first = browser.get("/runs").text
    following = re.search(r'href="/console(/runs\?after=[^"]+)">Older', first)
    assert following is not None
    second = browser.get(following[1]).text
    assert [one for one in ids if one in first and one in second] == []
    assert all(one in first + second for one in ids)


def test_a_run_shows_why_it_waits_and_where_to_decide(browser: Browser, waiting: str) -> None:
    page = browser.get(f"/runs/{waiting}").text
    assert f'href="/console/approvals/{waiting}:gate@1"' in page
    assert "waits for gate" in page
    assert "policy: allow" in page
    assert page.count("<li>") >= 8  # the timeline
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "refresh" not in browser.get(f"/runs/{waiting}?still=1").text


def test_a_run_that_has_ended_stands_still(browser: Browser, engine: Engine, waiting: str) -> None:
    engine.cancel_run(Caller("default", "alice"), waiting)
    assert "refresh" not in browser.get(f"/runs/{waiting}").text


def test_a_long_timeline_goes_on_behind_a_link(browser: Browser, waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cordum.console.pages.EVENTS", 3)
    following = re.search(r'href="/console(/runs/[^"]+)#timeline"', browser.get(f"/runs/{waiting}").text)
    assert following is not None
    assert browser.get(following[1].replace("&amp;", "&")).text.count("<li>") == 3


def test_an_approval_shows_what_it_rests_on_and_what_comes_after(browser: Browser, waiting: str) -> None:
    page = browser.get(f"/approvals/{waiting}:gate@1").text
    assert "What build found" in page
    assert page.index("<b>deploy</b>") < page.index("<b>report</b>")
    assert "alice" in page
    assert waiting in browser.get("/approvals").text


def test_an_approval_shows_no_secret_and_says_what_is_left_out(browser: Browser, engine: Engine) -> None:
    names = [f"s{number}" for number in range(12)]
    steps = "".join(f"  {name}: {{topic: job.s}}\n" for name in names)
    gate = f"  gate: {{type: approval, depends_on: [{', '.join(names)}]}}\n"
    engine.save_workflow("default", f"id: many\nsteps:\n{steps}{gate}".encode(), "yaml")
    run_id = engine.start_run(Caller("default", "alice"), "many", {"token": "t0ps3cret"}).id
    hands = Hands(engine)
    for name in names:
        hands.work(run_id, name, {"password": "hunter2", "text": "x" * 8000})
    page = browser.get(f"/approvals/{run_id}:gate@1").text
    assert "[hidden]" in page
    assert "hunter2" not in page
    assert "t0ps3cret" not in page
    assert "What s11 found is too much for this page" in page


@pytest.mark.parametrize("path", ["/runs", "/runs/{run}", "/approvals", "/approvals/{run}:gate@1"])
def test_what_people_and_workers_say_is_text(browser: Browser, waiting: str, path: str) -> None:
    page = browser.get(path.format(run=waiting)).text
    assert "<img" not in page
    assert "onerror=alert(1)>" not in page
    if path != "/runs":
        assert "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/runs/nope",
        "/runs/a:b",
        "/runs/%00",
        "/approvals/nope",
        "/approvals/c1-0:gate@1",
        "/static/../app.py",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(browser: Browser, path: str) -> None:
    answered = browser.get(path)
    assert answered.status_code == 404
    assert "To the runs" in answered.text


@pytest.mark.parametrize(
    "query", ["after=x:y", "after=%ff", "status=nonsense", "workflow=a:b", "limit=-1", "after=1" * 9]
)
def test_addresses_that_say_nonsense_are_read_as_far_as_they_make_sense(
    browser: Browser, waiting: str, query: str
) -> None:
    for path in ("/runs", f"/runs/{waiting}", "/approvals", f"/approvals/{waiting}:gate@1"):
        assert browser.get(f"{path}?{query}").status_code == 200


def test_another_tenants_run_looks_like_a_missing_one(browser: Browser, engine: Engine) -> None:
    theirs = start(engine, Caller("other", "eve"))
    missing = browser.get(f"/runs/{theirs[:-1]}x")
    found = browser.get(f"/runs/{theirs}")
    assert (found.status_code, missing.status_code) == (404, 404)
    assert found.text.replace(theirs, "ID") == missing.text.replace(f"{theirs[:-1]}x", "ID")
    assert browser.get(f"/approvals/{theirs}:gate@1").status_code == 404
    assert theirs not in browser.get("/runs").text + browser.get("/approvals?all=1").text


@pytest.mark.parametrize("path", ["/runs", "/login", "/nothing", "/static/style.css"])
def test_every_answer_carries_the_security_headers(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for rule in ("frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert rule in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Cache-Control" in headers
    if path != "/static/style.css":
        assert headers["Cache-Control"] == "no-store"


def test_no_page_needs_a_script_or_holds_a_style(console: Flask, browser: Browser, waiting: str) -> None:
    for path in ("/runs", f"/runs/{waiting}", "/approvals", f"/approvals/{waiting}:gate@1", "/login"):
        page = browser.get(path).text
        assert "<script" not in page
        assert "style=" not in page
        assert "javascript:" not in page


def test_what_nobody_foresaw_is_a_page_without_a_trace(
    browser: Browser, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr(engine, "runs", broken)
    answered = browser.get("/runs")
    assert answered.status_code == 500
    assert "secret detail" not in answered.text
    assert "secret detail" in caplog.text


# --- how values look ---


def test_times_and_durations() -> None:
    assert moment("2020-03-04T05:06:07.089Z") == "4 Mar 2020 05:06:07"
    assert moment("2020-03-04T05:06:07.089Z", exact=True) == "4 Mar 2020 05:06:07.089"
    assert moment(None) == "–"
    begun = "2020-01-01T00:00:00.000Z"
    ends = ["00:00:00.250Z", "00:00:02.500Z", "00:03:04.000Z", "05:06:00.000Z"]
    assert [took(begun, f"2020-01-01T{end}") for end in ends] == ["250 ms", "2.5 s", "3 min 4 s", "5 h 6 min"]
    assert took(begun, "2020-01-04T00:00:00.000Z") == "3 days"
    assert took(None, None) == ""


def test_a_huge_value_is_cut_and_says_so() -> None:
    assert pretty("x" * 50_000).endswith("characters)")


def test_a_long_name_may_break_behind_its_separators_and_stays_text() -> None:
    assert breakable("a_b<i>") == "a_<wbr>b&lt;i&gt;"
