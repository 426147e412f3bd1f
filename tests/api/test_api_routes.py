from __future__ import annotations

from cordum.api.identity import Role, requires, role_of


def test_every_route_declares_a_role(app):
    undeclared = [rule.rule for rule in app.url_map.iter_rules() if role_of(app.view_functions[rule.endpoint]) is None]
    assert undeclared == []


def test_view_without_declaration_has_no_role():
    assert role_of(lambda: None) is None


def test_only_health_is_public(app):
    public = {
        rule.rule for rule in app.url_map.iter_rules() if role_of(app.view_functions[rule.endpoint]) is Role.PUBLIC
    }
    assert public == {"/healthz", "/livez", "/readyz"}


def test_reading_asks_for_less_than_changing(app):
    roles = {name: role_of(view) for name, view in app.view_functions.items()}
    reads = {roles[rule.endpoint] for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert reads == {Role.PUBLIC, Role.VIEWER, Role.ADMIN}
    assert roles["metrics.scrape"] is Role.ADMIN
    assert roles["runs.start"] is roles["workflows.save"] is roles["runs.cancel"] is Role.OPERATOR
    assert roles["approvals.approve"] is roles["approvals.reject"] is Role.APPROVER


def test_declaring_a_role_keeps_the_name_of_the_view():
    @requires(Role.ADMIN)
    def view(caller):
        """Says something."""

    assert (view.__name__, view.__doc__, role_of(view)) == ("view", "Says something.", Role.ADMIN)
