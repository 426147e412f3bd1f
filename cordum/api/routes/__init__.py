"""The routes: one blueprint a resource. Views translate and decide nothing."""

from __future__ import annotations

from flask import Flask

from cordum.api.routes import (
    api_keys,
    approvals,
    audit,
    concurrency,
    dead_letters,
    fleet,
    governance,
    graphs,
    health,
    hooks,
    jobs,
    metrics,
    operations,
    policy,
    pools,
    runs,
    schedules,
    signals,
    workflows,
)

API_PREFIX = "/api/v1"


def register(app: Flask) -> None:
    app.register_blueprint(health.routes)
    app.register_blueprint(metrics.routes)
    app.register_blueprint(operations.routes, url_prefix=API_PREFIX + str(operations.routes.url_prefix))
    for resource in (
        *(workflows, runs, jobs, graphs, approvals, dead_letters, concurrency, fleet, pools),
        *(schedules, signals, hooks, api_keys, audit),
    ):
        app.register_blueprint(resource.routes, url_prefix=API_PREFIX)
    app.register_blueprint(governance.routes, url_prefix=API_PREFIX + str(governance.routes.url_prefix))
    app.register_blueprint(policy.routes, url_prefix=f"{API_PREFIX}/policy")
