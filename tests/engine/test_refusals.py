"""Refusals by address: a burst, then one now and then, in bounded memory."""

from __future__ import annotations

import threading

from cordum.engine.refusals import Refusals


def test_a_burst_goes_through_then_one_a_second() -> None:
    seen = Refusals(burst=3, per_sec=1.0)
    assert [seen.wait_sec("192.0.2.1", 10.0) for _ in range(5)] == [0, 0, 0, 1, 1]
    assert [seen.wait_sec("192.0.2.1", 11.0) for _ in range(2)] == [0, 1]
    assert [seen.wait_sec("192.0.2.1", 100.0) for _ in range(4)] == [0, 0, 0, 1]


def test_each_address_has_its_own() -> None:
    seen = Refusals(burst=1)
    assert [seen.wait_sec(f"192.0.2.{number}", 0.0) for number in range(9)] == [0] * 9


def test_a_network_of_ipv6_counts_as_one_address_and_a_mapped_one_as_what_it_is() -> None:
    seen = Refusals(burst=1)
    assert seen.wait_sec("2001:db8::1", 0.0) == 0
    assert seen.wait_sec("2001:db8::ffff:2", 0.0) == 1
    assert seen.wait_sec("2001:db8:0:1::1", 0.0) == 0
    assert seen.wait_sec("::ffff:192.0.2.1", 0.0) == 0
    assert seen.wait_sec("192.0.2.1", 0.0) == 1
    assert [seen.wait_sec(no, 0.0) for no in ("", "nonsense")] == [0, 1]


def test_memory_is_bounded() -> None:
    seen = Refusals(most_addresses=100)
    for number in range(10_000):
        seen.wait_sec(f"10.0.{number // 256}.{number % 256}", float(number))
    assert len(seen) == 100


def test_many_threads_spend_one_burst() -> None:
    seen, waits = Refusals(burst=50), []

    def refused() -> None:
        waits.extend(seen.wait_sec("192.0.2.1", 0.0) for _ in range(50))

    threads = [threading.Thread(target=refused) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0) == 50
