"""The README says what the code does: its settings table, its example workflow, its example worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cordum
from cordum.domain.definition import load_workflow
from cordum.domain.policy import PolicyRequest
from cordum.domain.policy_document import load_policy
from cordum.domain.policy_lint import lint
from cordum.execution.handlers import registry
from cordum.settings import settings_table

README = (Path(cordum.__file__).parents[1] / "README.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    (found,) = (text for text in blocks if containing in text)
    return str(found)


def test_the_settings_table_is_the_one_the_code_makes() -> None:
    assert README.split("<!-- settings-table -->\n")[1].startswith(settings_table())


def test_the_first_workflow_is_valid() -> None:
    workflow = load_workflow(block("yaml", "id: deploy").encode(), "yaml")
    assert list(workflow.steps) == ["build", "gate", "ship"]


def test_the_first_worker_can_be_imported() -> None:
    exec(compile(block("python", "@job"), "my_jobs.py", "exec"), {"__name__": "my_jobs"})
    assert registry["job.ci.build"].required == {"branch"}
    assert registry["job.ci.ship"].required == {"image"}


def test_both_commands_are_single_lines() -> None:
    for name in ("demo-command", "test-command"):
        match = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
        assert match is not None
        assert match[1].count("\n") == 1


def test_the_policy_shown_is_one_that_can_be_active_and_decides_as_it_says() -> None:
    policy = load_policy(block("yaml", "large-refunds").encode())
    assert lint(policy) == []
    refund = PolicyRequest("job.pay.refund", "acme", input={"amount": 1001})
    decided = policy.decide(refund)
    assert (decided.verdict.value, decided.rule_id) == ("require_approval", "large-refunds-need-a-person")
    assert decided.constraints.max_retries == 1
    assert policy.decide(PolicyRequest("job.pay.refund", "acme", input={"amount": 1})).verdict.value == "deny"


@pytest.mark.parametrize("name", ["safety.yaml", "safety.dev.yaml"])
def test_the_policies_shipped_have_nothing_to_complain_about(name: str) -> None:
    assert lint(load_policy((Path(cordum.__file__).parents[1] / "config" / name).read_bytes())) == []
