"""benchmarks/ledgers/boards.py: contributed latencies as a table."""

from ledgers.boards import boards_table

from edgefer.results.benchmark import BenchmarkResult


def test_rows_are_sorted_and_text_of_users_is_escaped(measured):
    device = {"os": "Debian", "bits": 64}
    two, one = (measured(threads=threads, p50_us=100 * threads, device=device) for threads in (2, 1))
    results = [BenchmarkResult("Pi 5", (two, one)), BenchmarkResult("<b>Pi 4</b> | x", (one,))]
    rows = [line for line in boards_table(results).markdown().splitlines() if "litert" in line]
    assert [row.split(" | ")[5] for row in rows] == ["1", "1", "2"]
    assert "<b>" not in rows[0]
    assert rows[1].startswith("| Pi 5 | small-int8 | litert 2.3.0 | Debian, 64 bits | 2026-01-01T00:00:00+00:00 | 1 |")
    assert "| 200 | 220 |" in rows[2]
