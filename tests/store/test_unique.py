from __future__ import annotations

import os

from cordum.store.unique import unique


def test_no_name_comes_twice() -> None:
    assert len({unique() for _ in range(1000)}) == 1000


def test_a_forked_process_gives_others() -> None:
    reader, writer = os.pipe()
    mine = unique()
    child = os.fork()
    if child == 0:
        os.write(writer, unique().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 200).decode().partition("-")[0] != mine.partition("-")[0]
