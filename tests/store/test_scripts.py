"""What scripts declare, and what they do: two lists that must agree."""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.resources import files

import pytest

from cordum.domain.states import TRANSITIONS, StepStatus
from cordum.store.approvals import ResolveReply
from cordum.store.jobs import ClaimReply, LossReply, RecordReply
from cordum.store.runs import CommitReply, CreateReply, SignalReply
from cordum.store.scripts import Library, Script
from cordum.store.workflows import DeleteReply, SaveReply

LIBRARY = Library()
EACH = pytest.mark.parametrize("script", LIBRARY.scripts.values(), ids=LIBRARY.scripts)


def code_of(script: Script) -> str:
    """The Lua without comments and without the line that names keys and arguments."""
    text = re.sub(r"^local [ka]_.*$", "", script.source, flags=re.MULTILINE)
    return re.sub(r"--.*$", "", text, flags=re.MULTILINE)


@EACH
def test_every_key_and_argument_a_script_uses_is_declared(script: Script) -> None:
    used = set(re.findall(r"\b[ka]_\w+", code_of(script)))
    declared = {f"k_{key}" for key in script.keys} | {f"a_{arg}" for arg in script.args}
    assert used <= declared


@EACH
def test_no_script_builds_a_key(script: Script) -> None:
    assert "cordum" not in code_of(script)


@EACH
def test_no_script_looks_into_user_data(script: Script) -> None:
    decoded = re.findall(r"cjson\.\w+\(([^)]*)\)", code_of(script))
    assert set(decoded) <= {"a_plan", "a_tick", "a_targets"}  # our own words and numbers


@EACH
def test_every_word_a_script_answers_is_declared(script: Script) -> None:
    answered = set(re.findall(r"return \{\s*'([A-Z_]+)'", code_of(script)))
    answered |= set(
        re.findall(r"and '([A-Z_]+)' or '([A-Z_]+)'", code_of(script))[0] if script.name == "renew_lease" else ()
    )
    assert answered == script.replies


@EACH
def test_only_the_clock_fragment_asks_for_the_time(script: Script) -> None:
    assert code_of(script).count("'TIME'") == (1 if "clock" in script.fragments else 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("create_run", CreateReply),
        ("apply_plan", CommitReply),
        ("send_signal", SignalReply),
        ("claim", ClaimReply),
        ("record_result", RecordReply),
        ("lose_attempt", LossReply),
        ("resolve_approval", ResolveReply),
        ("save_workflow", SaveReply),
        ("delete_workflow", DeleteReply),
    ],
)
def test_replies_and_their_enum_are_equal(script: str, words: type[StrEnum]) -> None:
    assert LIBRARY[script].replies == {word.value for word in words}


def test_the_transition_table_and_the_scripts_agree() -> None:
    table: dict[str, set[str]] = {}
    for row in TRANSITIONS:
        if row.script not in ("apply_plan", "release"):
            table.setdefault(row.script, set()).add(f"{row.source}>{row.target}")
    declared = {
        name: {move for move in script.moves if ">" in move} - {"ready>queued"}
        for name, script in LIBRARY.scripts.items()
    }
    assert {name: moves for name, moves in declared.items() if moves} == table
    releasing = {name for name, script in LIBRARY.scripts.items() if "release" in script.fragments}
    assert releasing == {name for name, script in LIBRARY.scripts.items() if "ready>queued" in script.moves}


@EACH
def test_a_script_writes_the_states_it_declares_and_no_other(script: Script) -> None:
    body = code_of(script)
    targets = {move.partition(">")[2] for move in script.moves if ">" in move}
    literal = {state for state in StepStatus if re.search(rf"'{state}:' \.\. |and '{state}:' or|or '{state}:'", body)}
    compared = {state for state in StepStatus if re.search(rf"[~=]= '{state}:' \.\.", body)}
    assert literal - compared <= targets


@EACH
def test_fragments_capture_no_key_and_no_argument(script: Script) -> None:
    """All functions of a script are made at each of its calls, and what they capture is looked for each time."""
    text = (files("cordum.store") / "lua" / f"{script.name}.lua").read_text()
    captured = re.search(r"^local ([ka]_\w+(?:, [ka]_\w+)*) = ", script.source)
    assert captured is None or all(name in text for name in captured[1].split(", "))
    assert set(re.findall(r"\b[ka]_\w+", code_of(script))) <= set(re.findall(r"\b[ka]_\w+", text))


def test_fragments_that_wait_are_made_within_the_call() -> None:
    """`release+quota:release,free_quotas`: each of these brings all of both."""
    source = LIBRARY["claim"].source
    assert "quota" in LIBRARY["claim"].fragments
    for entry in ("release", "free_quotas"):
        assert f"local function {entry}(...)" in source
    assert source.count("\nlocal function leave_quotas(") == 2


def test_a_nonexistent_guard_cannot_be_taken_away() -> None:
    with pytest.raises(KeyError):
        Library(without=[("apply_plan", "no_such_guard")])


@EACH
def test_every_guard_can_be_taken_away(script: Script) -> None:
    for guard in script.guards:
        assert Library(without=[(script.name, guard)])[script.name].source != script.source


def test_the_shipped_clock_has_no_override() -> None:
    assert "redis.call('TIME')" in LIBRARY["claim"].source
    assert "redis.call('TIME')" not in Library(virtual_clock=True)["claim"].source


def test_a_missing_or_unknown_argument_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="ring"):
        LIBRARY["ring"].arrange({"coordinator": "c"}, {})
    with pytest.raises(TypeError, match="ring"):
        LIBRARY["ring"].arrange({"coordinator": "c"}, {"message": "m"}, more_keys=["x"])
