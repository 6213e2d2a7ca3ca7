"""The tables of a run compare contestants that do the same work, and hold Fencepost against its bars."""

from pathlib import Path

from bench.bars import Bar, bars
from bench.compared import groups
from bench.contestant import Manner
from bench.report import report
from bench.samples import Samples

KEPT = Manner(history="kept", keeps="job", settings="")
IN_BATCHES = Manner(history="kept", keeps="job", batch=2000, settings="")
DELETED = Manner(history="deleted", keeps="nothing", settings="")


def run(**contestants: tuple[Manner, float]) -> Samples:
    """Return samples of a create and a drain of each contestant, with its drain rate."""
    samples = Samples()
    for name, (manner, rate) in contestants.items():
        sample = {"rate": rate, "postgres_us": 20.0, "server_us": 4.0, "client_us": 6.0, "wal_bytes": 512.0}
        samples.manners[name] = manner
        samples.add("create", name, sample)
        samples.add("drain", name, {**sample, "batch": min(manner.batch, 500)})
    return samples


def test_contestants_are_compared_with_those_of_the_same_history_and_handler_calls() -> None:
    samples = run(
        **{"sql:1000": (KEPT, 90.0), "fencepost": (KEPT, 30.0), "river": (KEPT, 40.0), "pg_boss": (IN_BATCHES, 50.0)},
        **{"graphile_worker": (DELETED, 70.0), "fencepost:keep-none": (DELETED, 60.0), "fencepost:two": (KEPT, 35.0)},
    )
    assert [(title, [row.name for row in rows]) for title, rows in groups(samples)] == [
        ("History kept, one handler call a task", ["river", "fencepost", "sql:1000"]),
        ("History kept, one handler call a batch", ["pg_boss"]),
        ("History deleted, one handler call a task", ["graphile_worker", "fencepost:keep-none"]),
    ]


def test_a_row_has_cpu_by_process_and_the_tasks_of_a_handler_call() -> None:
    _, (row,) = next(groups(run(pg_boss=(IN_BATCHES, 50_000.0))))
    assert row.cells == ("50,000", "20 + 4 + 6", "512", "500", "50,000", "20 + 4 + 6", "512", "job")


def test_bars_without_samples_are_left_out() -> None:
    assert bars(Samples()) == []


def test_a_drain_is_held_against_plain_sql_and_the_best_python_peer() -> None:
    samples = run(
        **{"sql:1000": (KEPT, 80.0), "fencepost": (KEPT, 60.0), "pgqueuer": (KEPT, 30.0), "awa": (KEPT, 20.0)}
    )
    found = {bar.what: bar for bar in bars(samples)}
    assert found["drain / plain SQL in batches of 1,000"].verdict == "goal met"
    assert found["drain / best Python peer"].measured == 2.0
    assert found["drain, us of CPU a task: server"].verdict == "floor met"
    assert found["WAL KiB a task, create and drain"].measured == 1.0


def test_smaller_is_better_where_a_bar_says_so() -> None:
    assert Bar("p99", 2.1, 2.0, 1.0, lower=True).verdict == "MISSED"
    assert Bar("p99", 1.0, 2.0, 1.0, lower=True).verdict == "goal met"
    assert Bar("rate", 2.1, 2.0, 3.0).verdict == "floor met"


def test_a_written_run_gives_the_report_that_begins_with_the_tables_like_for_like(tmp_path: Path) -> None:
    about = {
        "machine": "2 cores",
        "python": "3.11",
        "load": "0",
        "postgres": "18",
        "settings": {"fsync": "on"},
        "plan": {"rounds": 3, "count": 10_000},
    }
    run(fencepost=(KEPT, 30.0), river=(KEPT, 40.0)).write(tmp_path / "run.json", about)
    lines = list(report(*Samples.read(tmp_path / "run.json")))
    assert lines[0] == "## Like for like"
    assert "| river | 40 | 20 + 4 + 6 | 512 | 1 | 40 | 20 + 4 + 6 | 512 | job |" in lines
    assert "- 18: fsync on" in lines
