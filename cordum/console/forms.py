"""The pages that change something: entering, leaving, approving, rejecting."""

from __future__ import annotations

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from cordum.console.context import engine
from cordum.console.pages import approval_page
from cordum.console.visitors import ANONYMOUS, begin, keys_required, may_decide
from cordum.domain.api_keys import PERSON
from cordum.errors import CordumError, Forbidden, TooManyRequests, Unauthenticated, Unavailable

routes = Blueprint("forms", __name__)

MOST_REASON_CHARS = 2_000


@routes.get("/login")
def login() -> str:
    return render_template("login.html", caller=None, said="", person=session.get("person", ""))


@routes.post("/login")
def enter() -> Response | tuple[str, int]:
    if keys_required():
        try:
            caller = engine().api_keys.identify(request.form.get("key", "").strip(), request.remote_addr or "")
        except TooManyRequests as slow:
            said = f"Too many wrong keys came from your address: wait {slow.retry_after_sec} s."
            return _again(said, slow.status)
        except Unauthenticated:
            return _again("This is no key that is good now.")
        begin(key_id=caller.key_id or "")
    else:
        person = request.form.get("person", "").strip()
        if not PERSON.match(person):
            return _again("A name has letters, digits and . _ @ + : / -, and begins with a letter or digit.")
        begin(person=person)
    return redirect(url_for("pages.runs"), 303)


@routes.post("/logout")
def leave() -> Response:
    session.clear()
    return redirect(url_for(".login"), 303)


@routes.post("/approvals/<job_id>/approve")
def approve(job_id: str) -> Response | tuple[str, int]:
    return _decide(job_id, "approve")


@routes.post("/approvals/<job_id>/reject")
def reject(job_id: str) -> Response | tuple[str, int]:
    return _decide(job_id, "reject")


def _decide(job_id: str, decision: str) -> Response | tuple[str, int]:
    reason = request.form.get("reason", "").strip()
    approval_page(job_id)  # what is not there, or another tenant's, is not found whatever else is wrong
    if not may_decide(g.caller):
        raise Forbidden("Your key may look, and not decide.")
    if len(reason) > MOST_REASON_CHARS:
        return approval_page(job_id, f"At most {MOST_REASON_CHARS} characters, please.", reason), 422
    if decision == "reject" and not reason:
        return approval_page(job_id, "Say why you reject it: the reason becomes the step's error."), 422
    try:
        if decision == "reject":
            engine().reject(g.caller, job_id, reason)
        else:
            engine().approve(g.caller, job_id, reason or None)
    except Unavailable:
        raise
    except CordumError as refused:
        return approval_page(job_id, _why_not(refused), reason), refused.status
    flash("Approved." if decision == "approve" else "Rejected.")
    return redirect(url_for("pages.approval", job_id=job_id), 303)


def _why_not(refused: CordumError) -> str:
    if refused.code == "self_approval_denied" and g.caller.person == ANONYMOUS:
        return "Say who you are first: a decision needs a name."
    return f"Not taken: {refused.detail}."


def _again(said: str, status: int = 401) -> tuple[str, int]:
    return render_template("login.html", caller=None, said=said, person=request.form.get("person", "")[:128]), status
