"""Who may change something from a page, and what comes of it."""

from __future__ import annotations

import pytest
from flask import Flask

from cordum.console import create_console
from cordum.console.forms import MOST_REASON_CHARS
from cordum.domain.roles import Role
from cordum.engine import Caller, Engine
from cordum.settings import Settings
from tests.console.conftest import Browser, start


def key(engine: Engine, person: str, role: Role = Role.ADMIN, tenant: str = "default") -> str:
    return str(engine.api_keys.create(tenant, person, role, by="test")["key"])


def gate(run_id: str) -> str:
    return f"/approvals/{run_id}:gate@1"


def state(engine: Engine, run_id: str) -> tuple[str, str | None, str | None]:
    one = engine.approval("default", f"{run_id}:gate@1")
    return one["state"], one["decided_by"], one["comment"]


# --- deciding ---


def test_a_person_with_a_name_approves(browser: Browser, engine: Engine, waiting: str) -> None:
    assert browser.submit("/login", "/login", person="bob").location == "/console/runs"
    decided = browser.submit(gate(waiting), f"{gate(waiting)}/approve", reason="looks good")
    assert (decided.status_code, decided.location) == (303, f"/console{gate(waiting)}")
    assert state(engine, waiting) == ("approved", "bob", "looks good")
    page = browser.get(gate(waiting)).text
    assert "Approved." in page
    assert "Your decision" not in page


def test_a_rejection_needs_a_reason(browser: Browser, engine: Engine, waiting: str) -> None:
    browser.submit("/login", "/login", person="bob")
    for reason in ("", "  \n"):
        refused = browser.submit(gate(waiting), f"{gate(waiting)}/reject", reason=reason)
        assert refused.status_code == 422
        assert "Say why" in refused.text
    assert state(engine, waiting)[0] == "pending"
    assert browser.submit(gate(waiting), f"{gate(waiting)}/reject", reason="not today").status_code == 303
    assert state(engine, waiting) == ("rejected", "bob", "not today")


def test_what_was_typed_is_kept_when_a_decision_is_not_taken(browser: Browser, engine: Engine, waiting: str) -> None:
    browser.submit("/login", "/login", person="alice")
    refused = browser.submit(gate(waiting), f"{gate(waiting)}/reject", reason="<typed>")
    assert refused.status_code == 403
    assert "whoever submitted a run cannot approve it" in refused.text
    assert "&lt;typed&gt;</textarea>" in refused.text


def test_anonymous_is_asked_for_a_name(browser: Browser, engine: Engine, waiting: str) -> None:
    refused = browser.submit(gate(waiting), f"{gate(waiting)}/approve")
    assert refused.status_code == 403
    assert "Say who you are first" in refused.text
    assert state(engine, waiting)[0] == "pending"


def test_a_second_other_decision_is_told_and_changes_nothing(browser: Browser, engine: Engine, waiting: str) -> None:
    browser.submit("/login", "/login", person="bob")
    browser.submit(gate(waiting), f"{gate(waiting)}/approve")
    late = browser.submit("/login", f"{gate(waiting)}/reject", reason="too late")
    assert late.status_code == 409
    assert "bob has approved this already" in late.text
    assert state(engine, waiting)[0] == "approved"


def test_a_reason_that_is_too_long_is_refused(browser: Browser, engine: Engine, waiting: str) -> None:
    browser.submit("/login", "/login", person="bob")
    refused = browser.submit(gate(waiting), f"{gate(waiting)}/reject", reason="x" * (MOST_REASON_CHARS + 1))
    assert refused.status_code == 422
    large = browser.submit(gate(waiting), f"{gate(waiting)}/reject", reason="x" * 100_000)
    assert large.status_code == 413
    assert state(engine, waiting)[0] == "pending"


# --- forms from elsewhere ---


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ({}, {}),
        ({"form_token": ""}, {}),
        ({"form_token": "guessed"}, {}),
        ({"form_token": "käse"}, {}),
        (None, {"Origin": "http://evil.example"}),
        (None, {"Origin": "null"}),
        (None, {"Origin": "http://[::1"}),
    ],
)
def test_a_form_that_our_page_did_not_send_changes_nothing(
    browser: Browser, engine: Engine, waiting: str, data: dict[str, str] | None, headers: dict[str, str]
) -> None:
    browser.submit("/login", "/login", person="bob")
    browser.get(gate(waiting))
    with browser.client.session_transaction(base_url="http://localhost/console") as session:
        token = session["form_token"]
    given = {"form_token": token} if data is None else data
    assert browser.post(f"{gate(waiting)}/approve", given, headers=headers).status_code == 403
    assert state(engine, waiting)[0] == "pending"
    assert browser.post(f"{gate(waiting)}/approve", {"form_token": token}).status_code == 303


def test_without_keys_a_name_that_is_not_this_machines_is_not_answered(browser: Browser, waiting: str) -> None:
    asked = {"Host": "evil.example:8081"}
    assert browser.get("/runs", headers=asked).status_code == 403
    assert waiting not in browser.get(gate(waiting), headers=asked).text


def test_a_token_of_one_session_is_none_of_another(console: Flask, waiting: str) -> None:
    one, other = Browser(console.test_client()), Browser(console.test_client())
    one.get("/login")
    other.get("/login")
    with other.client.session_transaction(base_url="http://localhost/console") as session:
        token = session["form_token"]
    assert one.post("/login", {"form_token": token, "person": "bob"}).status_code == 403


def test_decisions_are_not_taken_by_get(browser: Browser, waiting: str) -> None:
    assert browser.get(f"{gate(waiting)}/approve").status_code == 405


# --- sessions ---


def test_with_keys_everybody_has_to_log_in(browser: Browser, engine: Engine, waiting: str) -> None:
    bob = key(engine, "bob", Role.APPROVER)
    for path in ("/", "/runs", f"/runs/{waiting}", "/approvals", gate(waiting)):
        answered = browser.get(path)
        assert (answered.status_code, answered.location) == (303, "/console/login"), path
    assert "API key" in browser.get("/login").text
    assert browser.get("/static/style.css").status_code == 200
    assert browser.submit("/login", "/login", key=f"  {bob}\n").location == "/console/runs"
    assert "bob" in browser.get("/runs").text
    assert bob not in browser.get("/runs").text
    assert browser.submit(gate(waiting), f"{gate(waiting)}/approve").status_code == 303
    assert state(engine, waiting) == ("approved", "bob", None)


@pytest.mark.parametrize("text", ["", "ck_aaaaaaaa_" + "a" * 43, "käse", "x" * 5000])
def test_what_is_no_key_opens_nothing(browser: Browser, engine: Engine, text: str) -> None:
    key(engine, "bob")
    refused = browser.submit("/login", "/login", key=text)
    assert refused.status_code == 401
    assert "no key that is good" in refused.text
    assert browser.get("/runs").status_code == 303


def test_a_name_given_before_there_were_keys_is_worth_nothing_afterwards(browser: Browser, engine: Engine) -> None:
    browser.submit("/login", "/login", person="bob")
    assert browser.get("/runs").status_code == 200
    key(engine, "ann")
    assert browser.get("/runs").status_code == 303


def test_a_session_ends_with_its_key_or_by_leaving(browser: Browser, engine: Engine) -> None:
    bob = key(engine, "bob")
    browser.submit("/login", "/login", key=bob)
    engine.store.api_keys.revoke(bob[3:11], "another process")
    assert browser.get("/runs").status_code == 303
    browser.submit("/login", "/login", key=key(engine, "carl"))
    assert browser.submit("/runs", "/logout").location == "/console/login"
    assert browser.get("/runs").status_code == 303


def test_a_viewer_sees_and_does_not_decide(browser: Browser, engine: Engine, waiting: str) -> None:
    browser.submit("/login", "/login", key=key(engine, "vic", Role.VIEWER))
    page = browser.get(gate(waiting)).text
    assert "takes an approver" in page
    assert "/approve" not in page
    refused = browser.submit("/runs", f"{gate(waiting)}/approve")
    assert refused.status_code == 403
    assert state(engine, waiting)[0] == "pending"


def test_a_key_shows_its_own_tenant_only(browser: Browser, engine: Engine, waiting: str) -> None:
    theirs = start(engine, Caller("other", "eve"))
    browser.submit("/login", "/login", key=key(engine, "olga", tenant="other"))
    page = browser.get("/runs").text
    assert theirs in page
    assert waiting not in page
    assert browser.get(f"/runs/{waiting}").status_code == 404
    assert browser.submit("/runs", f"{gate(waiting)}/approve").status_code == 404
    assert state(engine, waiting)[0] == "pending"


def test_nobody_decides_under_a_second_key_what_he_has_submitted(
    browser: Browser, engine: Engine, waiting: str
) -> None:
    browser.submit("/login", "/login", key=key(engine, "alice", Role.APPROVER))
    assert browser.submit(gate(waiting), f"{gate(waiting)}/approve").status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(engine: Engine, settings: Settings) -> None:
    for env, secure in (("dev", False), ("production", True)):
        one = Settings(env=env, data_dir=settings.data_dir, timeouts_file=settings.timeouts_file)  # type: ignore[arg-type]
        browser = Browser(create_console(engine, one).test_client())
        cookie = browser.get("/login").headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/console" in cookie
        assert ("Secure" in cookie) is secure


def test_a_cookie_that_was_made_up_or_changed_is_none(browser: Browser, engine: Engine) -> None:
    made = engine.api_keys.create("default", "bob", Role.ADMIN, by="test")
    forged = Flask("forged")
    forged.secret_key = "guessed"
    serializer = forged.session_interface.get_signing_serializer(forged)  # type: ignore[attr-defined]
    cookie = serializer.dumps({"key_id": made["id"]})
    browser.client.set_cookie("cordum_console", cookie, path="/console", domain="localhost")
    assert browser.get("/runs").status_code == 303


def test_processes_share_the_secret_so_that_a_session_is_good_at_each(engine: Engine, settings: Settings) -> None:
    secrets = {create_console(engine, settings).secret_key for _ in range(2)}
    assert len(secrets) == 1
    assert len(str(secrets.pop())) == 64
