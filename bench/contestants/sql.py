"""Plain SQL, the upper bound: a local client that claims and finishes tasks in batches.

`sql:1000` works in batches of 1,000, and so on. Each transition (created, started, succeeded) is a log row, and
finished tasks are kept. A batch is claimed and started in one transaction and finished in another.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.contestant import Drained, Manner

_CREATE = """
with created as (
    insert into live (params) select p.params from json_array_elements(%s::json) as p (params)
    returning seq, created_at
)
insert into log (seq, at, action) select c.seq, c.created_at, 'create' from created as c
"""

_START = """
with picked as materialized (
    select seq from live where not running and seq > %(after)s order by seq limit %(size)s for update skip locked
),
started as (
    update live as l
    set running = true, exec_id = gen_random_uuid(), deadline_at = now() + interval '5 minutes'
    where l.seq = any(array(select p.seq from picked as p))
    returning l.seq, l.exec_id, l.params
),
logged as (
    insert into log (seq, at, action, exec_id) select s.seq, now(), 'start', s.exec_id from started as s
)
select seq, exec_id, params from started
"""

_FINISH = """
with done as (
    delete from live as l
    using unnest(%(seqs)s::bigint[], %(exec_ids)s::uuid[]) as c (seq, exec_id)
    where l.seq = c.seq and l.exec_id = c.exec_id and l.seq = any(%(seqs)s::bigint[])
    returning l.seq, l.exec_id, l.created_at, l.params
),
kept as (
    insert into history (seq, outcome, exec_id, created_at, done_at, params)
    select seq, 'succeeded', exec_id, created_at, now(), params from done
)
insert into log (seq, at, action, exec_id) select seq, now(), 'success', exec_id from done
"""


def _params(number: int) -> str:
    return f'{{"n": {number}}}'


def contestant(variant: str = "1000") -> SqlContestant:
    """Return the contestant; the variant is its batch size."""
    return SqlContestant(int(variant))


class SqlContestant:
    """Its own tables, psycopg, and threads with one connection each."""

    def __init__(self, batch: int) -> None:
        self.name = f"sql:{batch}"
        self._batch = batch
        # Small batches wait for the disk, concurrently; large batches use the CPU, on two cores.
        self._connections = {1: 16, 10: 8, 100: 4}.get(batch, 2)
        self.manner = Manner(
            history="kept",
            keeps="task and log",
            settings=f"batches of {batch} over {self._connections} connections, a log row a transition",
            finished="select count(*) from history",
        )
        self._dsn = ""
        self._seen: list[int] = []
        self._first = 0.0

    def available(self) -> str | None:
        """Return None: it needs only psycopg."""
        return None

    def prepare(self, dsn: str) -> None:
        """Create the tables."""
        self._dsn = dsn
        with psycopg.connect(dsn) as connection:
            connection.execute((Path(__file__).parent / "sql.sql").read_text())

    def create(self, count: int) -> float:
        """Insert in batches of at least 10, with one JSON parameter per statement."""
        texts = [_params(number) for number in range(count)]
        size = max(self._batch, 10)
        batches = ["[" + ",".join(texts[at : at + size]) + "]" for at in range(0, count, size)]

        def work(connection: psycopg.Connection[Any]) -> None:
            while batches:
                try:
                    batch = batches.pop(0)
                except IndexError:
                    return
                connection.execute(_CREATE, (batch,), prepare=True)

        began = time.perf_counter()
        self._together(work)
        return time.perf_counter() - began

    def drain(self, count: int) -> Drained:
        """Claim a batch, call the handler for each task, finish the batch, until no task is left."""
        self._seen, self._first = [], 0.0
        self._together(self._work)
        seconds = time.perf_counter() - self._first
        with psycopg.connect(self._dsn) as connection:
            row = connection.execute("select count(*) from live").fetchone()
        assert row is not None
        handled = len(self._seen)
        return Drained(seconds=seconds, handled=handled, tasks=len(set(self._seen)), calls=handled, left=row[0])

    def latency(self, count: int) -> list[float]:
        """Create and claim one task at a time: one connection listens, another creates and notifies."""
        created: dict[int, float] = {}
        started: list[float] = []
        ready = threading.Event()

        def listen() -> None:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                connection.execute("listen work")
                ready.set()
                while len(started) < count:
                    # One at a time: a notification during a statement inside of the generator would be lost.
                    for _ in connection.notifies(timeout=5, stop_after=1):
                        pass
                    for seq, exec_id, params in connection.execute(_START, {"after": 0, "size": 1}).fetchall():
                        started.append(time.perf_counter() - created[params["n"]])
                        connection.execute(_FINISH, {"seqs": [seq], "exec_ids": [exec_id]})

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        ready.wait()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            for number in range(count):
                created[number] = time.perf_counter()
                with connection.transaction():
                    connection.execute(_CREATE, (f"[{_params(number)}]",))
                    connection.execute("notify work")
                while len(started) <= number and listener.is_alive():
                    time.sleep(0.002)
                time.sleep(0.005)
        listener.join(10)
        return started

    def close(self) -> None:
        """Do nothing."""

    def _work(self, connection: psycopg.Connection[Any]) -> None:
        after = 0
        while True:
            started = connection.execute(_START, {"after": after, "size": self._batch}, prepare=True).fetchall()
            if not started:
                return
            if not self._first:
                self._first = time.perf_counter()
            # Tasks before the last claim are taken, or locked by a thread that is about to take them.
            after = max(after, min(row[0] for row in started) - 1)
            for row in started:
                self._handle(row[2])
            done = {"seqs": [row[0] for row in started], "exec_ids": [row[1] for row in started]}
            connection.execute(_FINISH, done, prepare=True)

    def _handle(self, params: dict[str, int]) -> None:
        self._seen.append(params["n"])

    def _together(self, work: Any) -> None:
        def run() -> None:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                work(connection)

        threads = [threading.Thread(target=run) for _ in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
