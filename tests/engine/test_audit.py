"""S10: the audit. What is done is told in it, and whatever is done to it afterwards is found, at the right number."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from cordum.domain.audit import Keyring, first_link, next_link
from cordum.domain.roles import Role
from cordum.engine import Engine
from cordum.engine.audit_export import verify_export
from cordum.engine.audit_keys import keyring_from, load_keyring
from cordum.errors import ConfigurationRefused, Unprocessable
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings
from cordum.store.checkpoints import CheckpointFile
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

SECRET = "a secret of some length"
TENANT = "default"
GATED = "steps: {a: {topic: job.a}, ok: {type: approval, depends_on: [a]}}"
RECORDS = 16


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written without waiting for Redis' log to be on disk."""
    monkeypatch.setattr("cordum.engine.audit._SETTLED_SEC", 0.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(env={"CORDUM_DATA_DIR": str(tmp_path), "CORDUM_AUDIT_KEY": f"k1:{SECRET}"})


@pytest.fixture
def signing(settings: Settings, redis_address: RedisAddress) -> Iterator[Engine]:
    """An engine with a key."""
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(ALLOW, "test")
    yield engine
    engine.close()


@pytest.fixture
def client(redis_address: RedisAddress) -> Iterator[redis.Redis]:
    """Somebody who can write to Redis, and has no key."""
    with redis.Redis(**redis_address.redis_py_kwargs()) as client:
        yield client


def fill(engine: Engine) -> None:
    """RECORDS records with their seals; of the first nine each has a checkpoint of its own."""
    for _ in range(9):
        engine.audit.seal()
        engine.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    hands = Hands(engine)
    run_id = hands.start(GATED)
    hands.work(run_id, "a")
    engine.approve(BOB, f"{run_id}:ok@1")
    engine.coordinate()
    engine.audit.seal()
    report = engine.audit.verify(TENANT)
    assert (report["total_events"], report["sealed"], report["status"]) == (RECORDS, RECORDS, "ok")


# -- what is told --------------------------------------------------------------------------------------------------


def types(engine: Engine, **wanted: Any) -> list[str]:
    page = engine.audit.list(TENANT, limit=200, after=None, order="asc", **wanted)
    return [item["type"] for item in page.items]


def test_what_is_decided_and_done_is_told_with_who_did_it(engine: Engine) -> None:
    hands = Hands(engine)
    run_id = hands.start(GATED)
    engine.pause_run(ALICE, run_id, "wait")
    engine.resume_run(ALICE, run_id, "back")
    hands.work(run_id, "a")
    engine.approve(BOB, f"{run_id}:ok@1")
    engine.coordinate()
    key = engine.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    engine.api_keys.revoke(TENANT, key["id"], by="root")
    engine.policies.save_draft("next", b"rules: []", "ann")
    engine.policies.delete_draft("next", "ann")
    engine.delete_workflow(TENANT, "wf", actor="alice")
    shown = engine.audit.list(TENANT, limit=200, after=None, order="asc").items
    about_run = [(item["type"], item["actor"]) for item in shown if item["run_id"] == run_id]
    assert about_run == [
        ("run.created", "alice"),
        ("step.decision", "cordum"),
        ("run.paused", "alice"),
        ("run.resumed", "alice"),
        *[("step.decision", "cordum")] * (len(about_run) - 7),
        ("approval.requested", "cordum"),
        ("approval.approved", "bob"),
        ("run.succeeded", "cordum"),
    ]
    others = [(item["type"], item["actor"], item["subject"]) for item in shown if item["run_id"] is None]
    assert others == [
        ("policy.published", "test", "policy:1"),
        ("workflow.saved", "cordum", "workflow:wf@1"),
        ("api_key.created", "root", f"api_key:{key['id']}"),
        ("api_key.revoked", "root", f"api_key:{key['id']}"),
        ("policy.draft_saved", "ann", "policy_draft:next"),
        ("policy.draft_deleted", "ann", "policy_draft:next"),
        ("workflow.deleted", "alice", "workflow:wf@1"),
    ]
    assert [item["sequence"] for item in shown] == list(range(1, len(shown) + 1))


def test_what_changes_nothing_is_not_told(engine: Engine) -> None:
    hands = Hands(engine)
    run_id = hands.start(GATED, idempotency_key="k")
    hands.work(run_id, "a")
    engine.approve(BOB, f"{run_id}:ok@1")
    engine.coordinate()
    before = types(engine)
    hands.start(GATED, idempotency_key="k")
    engine.approve(BOB, f"{run_id}:ok@1")
    engine.cancel_run(ALICE, run_id)
    engine.publish_policy(ALLOW, "test")
    assert types(engine) == before


def test_a_failed_step_an_expired_key_and_a_rejection_are_told(engine: Engine) -> None:
    engine.publish_policy(
        b"{default_decision: allow, rules: [{id: no, match: {topics: [job.a]}, decision: deny}]}", "t"
    )
    run_id = Hands(engine).start("steps: {a: {topic: job.a}}")
    assert types(engine, run_id=run_id) == ["run.created", "step.decision", "dead_letter.added", "run.denied"]
    engine.retry_run(ALICE, run_id, "again")
    assert "run.reopened" in types(engine, run_id=run_id, actor="alice")


def test_lists_are_filtered_and_paged_in_both_orders(engine: Engine) -> None:
    hands = Hands(engine)
    for _ in range(3):
        hands.start("steps: {a: {topic: job.a}}")
    for order in ("asc", "desc"):
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = engine.audit.list(TENANT, limit=2, after=after, order=order, type="step.decision")
            found += page.items
            after = page.next
            if after is None:
                break
        numbers = [item["sequence"] for item in found]
        assert len(numbers) == 3
        assert numbers == sorted(numbers, reverse=order == "desc")
    at = found[0]["time"]
    assert at is not None
    assert engine.audit.list("other", limit=5, after=None).items == []


def test_an_audit_outlives_its_runs(engine: Engine, client: redis.Redis) -> None:
    run_id = Hands(engine).start("steps: {a: {topic: job.a}}")
    before = types(engine, run_id=run_id)
    for key in client.scan_iter(f"cordum:run:{{{run_id}}}*"):
        client.delete(key)
    assert types(engine, run_id=run_id) == before != []


# -- changed in Redis ----------------------------------------------------------------------------------------------


class Forger:
    """Somebody with Redis in his hands: the records and seals of one tenant, and what counts them."""

    def __init__(self, engine: Engine, client: redis.Redis) -> None:
        keys = engine.store.keys
        self._client = client
        self._lists = keys.audit(TENANT), keys.seals(TENANT)
        self._counts = keys.audited, keys.sealed
        self.records, self.seals = (client.lrange(name, 0, -1) for name in self._lists)

    def write(self) -> None:
        for name, values in zip(self._lists, (self.records, self.seals), strict=True):
            self._client.delete(name)
            self._client.rpush(name, *values)

    def count_anew(self) -> None:
        for name, values in zip(self._counts, (self.records, self.seals), strict=True):
            self._client.hset(name, TENANT, len(values))

    def chain_anew(self, first: int, *, signed_as: str | None) -> None:
        """New seals from a record on, which fit; the signature is made up."""
        link = first_link("c1", TENANT) if first == 1 else self.seals[first - 2].decode().split(" ")[0]
        for number in range(first, len(self.records) + 1):
            link = next_link(number, link, self.records[number - 1])
            self.seals[number - 1] = (link if signed_as is None else f"{link} {signed_as} {'0' * 64}").encode()


def changed(forger: Forger) -> None:
    forger.records[4] = forger.records[4].replace(b'"type"', b'"typo"')


def changed_in_its_time(forger: Forger) -> None:
    number, at, rest = forger.records[4].split(b" ", 2)
    forger.records[4] = b" ".join((number, b"%d" % (int(at) + 1), rest))


def made_unreadable(forger: Forger) -> None:
    forger.records[4] = b"\xff\xfe"


def inserted(forger: Forger) -> None:
    forger.records.insert(4, forger.records[4].replace(b'"type"', b'"typo"'))


def doubled(forger: Forger) -> None:
    forger.records.insert(5, forger.records[4])


def deleted(forger: Forger) -> None:
    del forger.records[4]


def deleted_with_its_seal(forger: Forger) -> None:
    del forger.records[4], forger.seals[4]


def reordered(forger: Forger) -> None:
    forger.records[4], forger.records[6] = forger.records[6], forger.records[4]


def head_replaced(forger: Forger) -> None:
    forger.records[0] = forger.records[0].replace(b"test", b"tess")


def head_cut(forger: Forger) -> None:
    del forger.records[0]


def head_cut_with_its_seal(forger: Forger) -> None:
    del forger.records[0], forger.seals[0]


def tail_cut(forger: Forger) -> None:
    del forger.records[9:]


def tail_cut_with_seals(forger: Forger) -> None:
    del forger.records[9:], forger.seals[9:]


def tail_cut_with_all_that_counts(forger: Forger) -> None:
    tail_cut_with_seals(forger)
    forger.count_anew()


def chained_anew(forger: Forger) -> None:
    changed(forger)
    forger.chain_anew(5, signed_as="k1")


def chained_anew_unsigned(forger: Forger) -> None:
    changed(forger)
    forger.chain_anew(5, signed_as=None)


def chained_anew_from_the_head(forger: Forger) -> None:
    head_replaced(forger)
    forger.chain_anew(1, signed_as=None)


def chained_anew_without_one(forger: Forger) -> None:
    """As if the record had never been: those behind it have moved up."""
    del forger.records[4], forger.seals[4]
    forger.records = [b"%d " % n + raw.split(b" ", 1)[1] for n, raw in enumerate(forger.records, 1)]
    forger.chain_anew(5, signed_as="k1")
    forger.count_anew()


def seal_changed(forger: Forger) -> None:
    forger.seals[4] = forger.seals[4].replace(forger.seals[4][:8], b"00000000")


FORGERIES: dict[Callable[[Forger], None], int] = {
    changed: 5,
    changed_in_its_time: 5,
    made_unreadable: 5,
    inserted: 5,
    doubled: 5,
    deleted: 5,
    deleted_with_its_seal: 5,
    reordered: 5,
    head_replaced: 1,
    head_cut: 1,
    head_cut_with_its_seal: 1,
    tail_cut: 10,
    tail_cut_with_seals: 10,
    tail_cut_with_all_that_counts: 10,
    chained_anew: 5,
    chained_anew_unsigned: 5,
    chained_anew_from_the_head: 1,
    chained_anew_without_one: 5,
    seal_changed: 5,
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forgery_in_redis_is_found_at_its_number(
    forge: Callable[[Forger], None], signing: Engine, client: redis.Redis
) -> None:
    fill(signing)
    forger = Forger(signing, client)
    forge(forger)
    forger.write()
    report = signing.audit.verify(TENANT)
    assert (report["status"], report["first_problem"]) == ("compromised", FORGERIES[forge])


SEEN_ONLY_WITH: dict[Callable[[Forger], None], tuple[str, ...]] = {
    chained_anew: ("key", "checkpoints"),
    chained_anew_unsigned: ("key", "checkpoints"),
    chained_anew_from_the_head: ("key", "checkpoints"),
    chained_anew_without_one: ("key", "checkpoints"),
    tail_cut_with_all_that_counts: ("checkpoints",),
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
@pytest.mark.parametrize("known", ["key", "checkpoints", "nothing"])
def test_what_each_defence_is_there_for(
    forge: Callable[[Forger], None], known: str, signing: Engine, client: redis.Redis, tmp_path: Path
) -> None:
    """The negative control: without key or checkpoints just those forgeries pass that they are there to find."""
    fill(signing)
    forger = Forger(signing, client)
    forge(forger)
    forger.write()
    signing.audit._checkpoints = CheckpointFile(
        tmp_path / ("audit-checkpoints.jsonl" if known == "checkpoints" else "no")
    )
    if known != "key":
        signing.audit.keyring = Keyring()
    needed = SEEN_ONLY_WITH.get(forge)
    expected = ("compromised", FORGERIES[forge]) if needed is None or known in needed else ("ok", None)
    report = signing.audit.verify(TENANT)
    assert (report["status"], report["first_problem"]) == expected


def test_gaps_are_told_as_spans(signing: Engine, client: redis.Redis) -> None:
    fill(signing)
    forger = Forger(signing, client)
    forger.records = [forger.records[i] for i in range(RECORDS) if i not in (2, 3, 7, 15)]
    forger.write()
    report = signing.audit.verify(TENANT)
    assert report["gaps"] == [{"from": 3, "to": 4}, {"from": 8, "to": 8}, {"from": 16, "to": 16}]
    assert report["total_events"] == RECORDS


def test_an_unsealed_tail_is_shown_and_a_gap_in_it_is_found(signing: Engine, client: redis.Redis) -> None:
    fill(signing)
    for _ in range(3):
        signing.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    report = signing.audit.verify(TENANT)
    assert (report["status"], report["unsealed"]) == ("ok", 3)
    client.rpop(signing.store.keys.audit(TENANT))
    assert signing.audit.verify(TENANT)["first_problem"] == RECORDS + 3


def test_a_record_that_nobody_counted_is_found(signing: Engine, client: redis.Redis) -> None:
    fill(signing)
    client.rpush(signing.store.keys.audit(TENANT), f"{RECORDS + 1} 1 run:x " + '{"type":"run.created"}')
    assert signing.audit.verify(TENANT)["first_problem"] == RECORDS + 1


def test_another_tenants_chain_does_not_pass_for_this_ones(signing: Engine, client: redis.Redis) -> None:
    fill(signing)
    forger = Forger(signing, client)
    for name, values in (("audit", forger.records), ("seals", forger.seals)):
        client.rpush(getattr(signing.store.keys, name)("other"), *values)
    client.hset(signing.store.keys.audited, "other", RECORDS)
    assert signing.audit.verify("other")["first_problem"] == 1


# -- sealing -------------------------------------------------------------------------------------------------------


def test_a_coordinator_seals_when_it_sweeps(signing: Engine) -> None:
    Hands(signing)
    signing.coordinate()
    report = signing.audit.verify(TENANT)
    assert (report["sealed"], report["checkpoints"]) == (1, 1)


def test_what_is_not_sealed_is_measured(signing: Engine) -> None:
    def figures() -> dict[str, float]:
        return {one.name: one.samples[()] for one in signing.audit.metrics()}

    assert figures() == {"cordum_audit_records_total": 1, "cordum_audit_unsealed": 1}
    signing.audit.seal()
    assert figures() == {"cordum_audit_records_total": 1, "cordum_audit_unsealed": 0}


def test_nothing_is_signed_that_follows_upon_a_forged_end(
    signing: Engine, client: redis.Redis, settings: Settings, redis_address: RedisAddress
) -> None:
    """A signature covers what is before it; so an honest one would make a forgery good."""
    fill(signing)
    forger = Forger(signing, client)
    chained_anew_from_the_head(forger)
    forger.write()
    signing.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    anew = Engine.connect(settings, redis_address)  # another process, which learns from the file what was signed
    for engine in (signing, anew):
        engine.audit.seal()
        assert engine.audit.verify(TENANT)["sealed"] == RECORDS
    anew.close()


def test_a_key_that_comes_later_covers_what_was_sealed_before(engine: Engine, settings: Settings) -> None:
    fill(engine)
    with_key = Engine(engine.store, settings)
    assert with_key.audit.verify(TENANT)["status"] == "compromised", "nothing is signed yet"
    engine.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    with_key.audit.seal()
    report = with_key.audit.verify(TENANT)
    assert (report["status"], report["key_ids"]) == ("ok", ["k1"])


def test_keys_are_rotated(signing: Engine, tmp_path: Path, settings: Settings) -> None:
    fill(signing)
    file = tmp_path / "keys.yaml"
    file.write_text(f"active: k2\nkeys: {{k1: {SECRET}, k2: another secret of some length}}\n")
    rotated = Engine(signing.store, load_settings(env={"CORDUM_AUDIT_KEYS_FILE": str(file)}))
    rotated.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
    rotated.audit.seal()
    report = rotated.audit.verify(TENANT)
    assert (report["status"], report["key_ids"], report["sealed"]) == ("ok", ["k1", "k2"], RECORDS + 1)
    file.write_text("active: k2\nkeys: {k2: another secret of some length}\n")
    forgotten = Engine(signing.store, load_settings(env={"CORDUM_AUDIT_KEYS_FILE": str(file)}))
    assert forgotten.audit.verify(TENANT)["first_problem"] == 1, "who has not the old key cannot judge its signatures"


def test_a_file_that_cannot_be_written_keeps_nobody_from_sealing(
    signing: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signing.audit._checkpoints = CheckpointFile(tmp_path)  # a directory
    signing.audit.seal()
    assert signing.audit._store.lengths(TENANT).seals == 1
    assert "no checkpoint of the audit" in caplog.text


def test_a_checkpoint_waits_until_a_power_cut_cannot_take_what_it_tells(
    signing: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cordum.engine.audit._SETTLED_SEC", 2.0)
    signing.audit.seal()
    assert not settings.checkpoint_file.exists()
    began = time.time()
    monkeypatch.setattr("cordum.engine.audit.time.time", lambda: began + 2.1)
    signing.audit.seal()
    assert signing.audit.verify(TENANT)["checkpoints"] == 1


def test_many_seal_at_once_and_there_is_one_chain(
    signing: Engine, settings: Settings, redis_address: RedisAddress
) -> None:
    _seal_in_a_crowd(signing, settings, redis_address, Library())
    report = signing.audit.verify(TENANT)
    assert (report["status"], report["unsealed"]) == ("ok", 0)


def test_without_its_guard_the_chain_forks(signing: Engine, settings: Settings, redis_address: RedisAddress) -> None:
    """The negative control."""
    _seal_in_a_crowd(signing, settings, redis_address, Library(without=[("seal", "end_of_chain")]))
    assert signing.audit.verify(TENANT)["status"] == "compromised"


def _seal_in_a_crowd(engine: Engine, settings: Settings, address: RedisAddress, library: Library) -> None:
    """Eight sealers who look at the same end at the same time, again and again, while the audit grows."""
    sealers = [Engine.connect(settings, address, library) for _ in range(8)]
    together = threading.Barrier(len(sealers))

    def seal(sealer: Engine) -> None:
        for _ in range(20):
            together.wait(30)
            sealer.api_keys.create(TENANT, "ann", Role.VIEWER, by="root")
            together.wait(30)
            sealer.audit.seal()

    with ThreadPoolExecutor(len(sealers)) as pool:
        list(pool.map(seal, sealers))
    for sealer in sealers:
        sealer.audit.seal()
        sealer.close()


def test_checkpoints_that_were_tampered_with_are_found(signing: Engine, settings: Settings) -> None:
    fill(signing)
    file = settings.checkpoint_file
    lines = file.read_text().splitlines()
    point = json.loads(lines[2])
    file.write_text("\n".join([*lines[:2], json.dumps({**point, "link": "0" * 64}), *lines[3:], '{"torn']))
    report = signing.audit.verify(TENANT)
    assert (report["status"], report["first_problem"]) == ("compromised", point["sequence"])
    assert report["unreadable_checkpoints"] == 1
    assert file.stat().st_mode & 0o777 == 0o600


# -- exported ------------------------------------------------------------------------------------------------------


def exported(engine: Engine) -> list[bytes]:
    fill(engine)
    return [line.encode() for line in engine.audit.export(TENANT)]


def edited(line: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(line), **fields}).encode()


def test_an_export_is_judged_without_redis(signing: Engine) -> None:
    lines, keyring = exported(signing), signing.audit.keyring
    report = verify_export(lines, keyring)
    assert (report["status"], report["total_events"], report["sealed"]) == ("ok", RECORDS, RECORDS)
    assert verify_export(lines, Keyring())["signatures"] == "not_checked"


def forged_export(lines: list[bytes], forge: Callable[[Forger], None]) -> list[bytes]:
    """The same forgeries on the lines of a file; the head line is left as it is."""
    forger = object.__new__(Forger)
    documents = [json.loads(line) for line in lines[1:]]
    forger.records = [one["record"].encode() for one in documents]
    forger.seals = [one["seal"].encode() for one in documents]
    forger.count_anew = lambda: None  # type: ignore[method-assign]
    forge(forger)
    seals = [*forger.seals, *[None] * (len(forger.records) - len(forger.seals))]
    return [
        lines[0],
        *(
            json.dumps(
                {
                    "sequence": number,
                    "record": raw.decode("utf-8", "backslashreplace"),
                    "seal": seal and seal.decode(),
                }
            ).encode()
            for number, (raw, seal) in enumerate(zip(forger.records, seals, strict=False), 1)
        ),
    ]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forgery_in_an_export_is_found_at_its_number(forge: Callable[[Forger], None], signing: Engine) -> None:
    report = verify_export(forged_export(exported(signing), forge), signing.audit.keyring)
    assert (report["status"], report["first_problem"]) == ("compromised", FORGERIES[forge])


EDITS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "a line is taken out": (lambda lines: [*lines[:5], *lines[6:]], 5),
    "a line stands twice": (lambda lines: [*lines[:6], *lines[5:]], 5),
    "two lines are exchanged": (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], 5),
    "a line is no JSON": (lambda lines: [*lines[:5], b"{", *lines[6:]], 5),
    "the last lines are cut": (lambda lines: lines[:10], 10),
    "all lines are cut": (lambda lines: lines[:1], 1),
    "a seal is taken out": (lambda lines: [*lines[:5], edited(lines[5], seal=None), *lines[6:]], 5),
    "the last seals are taken out": (lambda lines: [*lines[:10], *(edited(one, seal=None) for one in lines[10:])], 10),
    "the head says less": (lambda lines: [edited(lines[0], records=9, sealed=9), *lines[1:10]], 0),
    "the head is of another tenant": (lambda lines: [edited(lines[0], tenant="other"), *lines[1:]], 0),
    "the head is not signed": (lambda lines: [edited(lines[0], signature="", key_id=""), *lines[1:]], 0),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_export_is_found(edit: str, signing: Engine) -> None:
    change, number = EDITS[edit]
    report = verify_export(change(exported(signing)), signing.audit.keyring)
    assert (report["status"], report["first_problem"]) == ("compromised", number)


def test_checkpoints_see_what_a_forged_head_hides(signing: Engine, settings: Settings) -> None:
    """Without a key the head can be forged as well; what was written down elsewhere cannot."""
    lines = exported(signing)
    link = json.loads(lines[9])["seal"].split(" ")[0]
    cut = [edited(lines[0], records=9, sealed=9, head=link), *lines[1:10]]
    assert verify_export(cut, Keyring())["status"] == "ok"
    report = verify_export(cut, Keyring(), CheckpointFile(settings.checkpoint_file).read()[0])
    assert (report["status"], report["first_problem"]) == ("compromised", 10)


def test_what_is_no_export_is_refused(signing: Engine) -> None:
    for lines in ([], [b"{}"], [b"\xff"], exported(signing)[1:]):
        with pytest.raises(Unprocessable, match="no export"):
            verify_export(lines, Keyring())


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "wanted are"),
        ("keys: {}", "no key"),
        ("keys: [a]", "wanted are"),
        ("{keys: {k1: short}}", "16 bytes"),
        ("{keys: {'a b': a secret of some length}}", "must match"),
        ("{active: k9, keys: {k1: a secret of some length}}", "not among the keys"),
        ("{actif: k1, keys: {k1: a secret of some length}}", "wanted are"),
    ],
)
def test_a_bad_file_of_keys_is_refused_without_its_secrets(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationRefused, match=reason) as refused:
        keyring_from(file)
    assert "a secret" not in refused.value.detail


def test_the_key_of_the_environment_signs_and_the_file_may_not_contradict_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"active: k1\nkeys: {{k1: {SECRET}}}\n")
    env = {"CORDUM_AUDIT_KEYS_FILE": str(file), "CORDUM_AUDIT_KEY": "k2:another secret of some length"}
    ring = load_keyring(load_settings(env=env))
    assert (ring.active, set(ring.secrets)) == ("k2", {"k1", "k2"})
    for given, reason in (("k1:another secret of some length", "has another secret"), ("nothing", "no key")):
        with pytest.raises(ConfigurationRefused, match=reason):
            load_keyring(load_settings(env={**env, "CORDUM_AUDIT_KEY": given}))
    with pytest.raises(ConfigurationRefused, match="cannot be read"):
        load_keyring(load_settings(env={"CORDUM_AUDIT_KEYS_FILE": str(tmp_path / "nowhere")}))
