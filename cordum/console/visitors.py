"""Who looks at a page. With keys a session stands for the key that began it, and ends with it; without keys, on the
developer's own machine, it holds a name that nobody checks."""

from __future__ import annotations

from flask import request, session

from cordum.console.context import engine
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import Forbidden
from cordum.loopback import names_this_machine

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"


def keys_required() -> bool:
    return engine().api_keys.required()


def visitor() -> Caller | None:
    """None: somebody who has to say who they are first."""
    if keys_required():
        key_id = session.get("key_id")
        return engine().api_keys.caller_by_id(key_id) if isinstance(key_id, str) else None
    if not names_this_machine(request.host):
        raise Forbidden("Without API keys only requests to this machine's own name are answered.")
    return Caller(DEFAULT_TENANT, str(session.get("person") or ANONYMOUS), cell=True)


def may_decide(caller: Caller) -> bool:
    return caller.role.includes(Role.APPROVER)


def begin(**who: str) -> None:
    """A new session; nothing of the old one is kept, so that none can be prepared for somebody else."""
    session.clear()
    session.update(who)
    session.permanent = True
