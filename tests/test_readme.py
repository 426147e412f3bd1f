"""The README says what the code does: its settings table, its example workflow, its example worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cordum
from cordum.domain.definition import load_workflow
from cordum.domain.definition.kinds import KINDS
from cordum.domain.expressions.functions import FUNCTIONS
from cordum.domain.policy import PolicyRequest
from cordum.domain.policy_document import read_policy
from cordum.domain.policy_lint import lint
from cordum.execution.handlers import registry
from cordum.redis_address import RedisAddress
from cordum.settings import settings_table
from cordum.testing import load_scenarios, run_scenario
from cordum.testing.reading import _COMMON, _ENTRY, _EXPECT, _OPTIONS, _SCENARIO, _WHEN

ROOT = Path(cordum.__file__).parents[1]
README = (ROOT / "README.md").read_text()
SCENARIOS = (ROOT / "cordum" / "testing" / "SCENARIOS.md").read_text()


def block(language: str, containing: str, page: str = README) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
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
    policy = read_policy(block("yaml", "large-refunds").encode())
    assert lint(policy) == []
    refund = PolicyRequest("job.pay.refund", "acme", input={"amount": 1001})
    decided = policy.decide(refund)
    assert (decided.verdict.value, decided.rule_id) == ("require_approval", "large-refunds-need-a-person")
    assert decided.constraints.max_retries == 1
    assert policy.decide(PolicyRequest("job.pay.refund", "acme", input={"amount": 1})).verdict.value == "deny"


@pytest.mark.parametrize("name", ["safety.yaml", "safety.dev.yaml"])
def test_the_policies_shipped_have_nothing_to_complain_about(name: str) -> None:
    assert lint(read_policy((Path(cordum.__file__).parents[1] / "config" / name).read_bytes())) == []


def test_every_type_of_step_has_an_example_that_is_valid() -> None:
    rows = re.findall(r"^\| (`\w+`(?: `\w+`)*) \| `(\{.*\})` \|", README, flags=re.MULTILINE)
    assert [name for names, _ in rows for name in re.findall(r"\w+", names)] == list(KINDS)
    for names, example in rows:
        text = f"id: w\nsteps:\n  a: {example}\n  b: {{}}\n  c: {{}}\n"
        assert load_workflow(text.encode(), "yaml").steps["a"].kind in names


def test_every_function_of_expressions_is_named() -> None:
    (listed,) = re.findall(r"`(length first .*? map)`", README, flags=re.DOTALL)
    assert set(listed.split()) == {*FUNCTIONS, "default", "any", "all", "filter", "map"}


def test_the_first_scenario_holds(tmp_path: Path, redis_address: RedisAddress) -> None:
    for number, text in enumerate([block("yaml", "ships-after-approval"), block("yaml", "probe-is-tried", SCENARIOS)]):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        assert [run_scenario(one, redis_address).problems for one in load_scenarios(file)] == [[]]


def test_the_page_on_scenarios_names_all_their_keys() -> None:
    named = set(re.findall(r"`(\w+)[`:]", SCENARIOS))
    keys = {key for table in _OPTIONS.values() for key in table}
    assert {*_SCENARIO, *_COMMON, *_WHEN, *_ENTRY, *_OPTIONS, *_EXPECT, "new_run", *keys} - {"do", "output"} <= named
