"""Graphs of workflows: what is in them, and that Mermaid's text holds no markup of a user."""

from __future__ import annotations

import re

from cordum.domain.definition import load_workflow
from cordum.domain.picture import graph, mermaid

ALL = """
id: all
steps:
  pick: {type: switch, condition: input.x, input: {cases: [{when: 1, next: p}, {when: 2, next: p}], default: l}}
  p: {type: parallel, steps: [a, b], strategy: n_of_m, required: 1, depends_on: [pick]}
  a: {name: 'The "first" <b>`a`</b>', on_error: h}
  b: {type: subworkflow, workflow_id: other}
  h: {type: approval}
  l: {type: loop, body_step: c, max_iterations: 3, depends_on: [pick]}
  c: {type: condition, condition: 'true'}
  e: {for_each: input.hosts, depends_on: [p, l]}
  s: {type: signal, name: go, depends_on: [e]}
"""
WORKFLOW = load_workflow(ALL.encode(), "yaml")


def test_a_graph_is_nodes_with_owners_and_edges_by_kind() -> None:
    drawn = graph(WORKFLOW)
    assert [(node["id"], node["type"], node["owner"], node["detail"]) for node in drawn["nodes"]] == [
        ("pick", "switch", None, None),
        ("p", "parallel", None, "n_of_m (1)"),
        ("a", "worker", "p", "job.workflow.all"),
        ("b", "subworkflow", "p", "other"),
        ("h", "approval", None, None),
        ("l", "loop", None, "at most 3 times"),
        ("c", "condition", "l", None),
        ("e", "worker", None, "job.workflow.all"),
        ("s", "signal", None, "go"),
    ]
    edges = [(edge["kind"], edge["from"], edge["to"], edge.get("label")) for edge in drawn["edges"]]
    assert sorted(edges, key=str) == [
        ("branch", "pick", "l", "default"),
        ("branch", "pick", "p", "1, 2"),
        ("depends_on", "e", "s", None),
        ("depends_on", "l", "e", None),
        ("depends_on", "p", "e", None),
        ("depends_on", "pick", "l", None),
        ("depends_on", "pick", "p", None),
        ("on_error", "a", "h", None),
    ]
    assert "status" not in drawn["nodes"][0]


def test_a_graph_of_a_run_has_the_states_of_its_steps() -> None:
    drawn = graph(WORKFLOW, {"pick": "succeeded", "p": "running"})
    assert [node["status"] for node in drawn["nodes"]][:3] == ["succeeded", "running", None]
    text = mermaid(drawn)
    assert "class s0 succeeded" in text
    assert "class s1 running" in text


def test_the_text_nests_what_is_owned_and_draws_each_branch_once() -> None:
    lines = mermaid(graph(WORKFLOW)).splitlines()
    assert lines[0] == "flowchart TD"
    start = lines.index('  subgraph s1["p<br/>parallel, n#95;of#95;m (1)"]'.replace("#95;", "_"))
    assert [line.strip()[:2] for line in lines[start + 1 : start + 4]] == ["s2", "s3", "en"]
    assert [line for line in lines if line.startswith("  s0 ")] == ['  s0 -->|"1, 2"| s1', '  s0 -->|"default"| s5']
    assert "  s2 -.->|on_error| s4" in lines


def test_names_cannot_break_out_of_their_label() -> None:
    (line,) = [line for line in mermaid(graph(WORKFLOW)).splitlines() if line.strip().startswith("s2[")]
    label = line.strip()[len('s2["') : -len('"]')]
    assert not set(label.replace("<br/>", "")) & set("<>\"'`[]{}|")
    assert "The #34;first#34; #60;b#62;" in label


def test_hostile_names_are_one_line_each() -> None:
    workflow = load_workflow(b'id: w\nsteps: {a: {name: "x\\n  end\\n  click s0 \\\\u202e %%{init}"}}', "yaml")
    text = mermaid(graph(workflow))
    assert len(text.splitlines()) == 2
    assert re.search(r"[%{}]", text.partition("\n")[2].replace("#", "")) is None


def test_an_empty_workflow_has_an_empty_graph() -> None:
    workflow = load_workflow(b"id: w\nsteps: {}", "yaml")
    assert graph(workflow) == {"id": "w", "nodes": [], "edges": []}
    assert mermaid(graph(workflow)) == "flowchart TD\n"
