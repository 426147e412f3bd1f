from __future__ import annotations

from cordum.api.identity import Access, access_of, requires
from cordum.domain.roles import Role


def test_every_route_declares_a_role(app):
    undeclared = [
        rule.rule for rule in app.url_map.iter_rules() if access_of(app.view_functions[rule.endpoint]) is None
    ]
    assert undeclared == []


def test_view_without_declaration_has_no_role():
    assert access_of(lambda: None) is None


def test_only_health_and_what_is_signed_is_public(app):
    public = {
        rule.rule for rule in app.url_map.iter_rules() if access_of(app.view_functions[rule.endpoint]) == Access(None)
    }
    assert public == {"/healthz", "/livez", "/readyz", "/api/v1/hooks/<hook:hook_id>"}


def test_reading_asks_for_less_than_changing(app):
    roles = {name: access_of(view) for name, view in app.view_functions.items()}
    assert roles["metrics.scrape"] == Access(Role.ADMIN, cell=True)
    assert roles["runs.start"] == roles["workflows.save"] == roles["runs.cancel"] == Access(Role.OPERATOR)
    assert roles["approvals.approve"] == roles["approvals.reject"] == Access(Role.APPROVER)
    assert roles["runs.read"] == roles["approvals.list_all"] == Access(Role.VIEWER)


def test_declaring_a_role_keeps_the_name_of_the_view():
    @requires(Role.ADMIN)
    def view(caller):
        """Says something."""

    assert (view.__name__, view.__doc__, access_of(view)) == ("view", "Says something.", Access(Role.ADMIN))
