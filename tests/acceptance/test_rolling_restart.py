"""One process after the other is asked to stop and started again, under load. Nobody dies here: nothing at all is lost,
interrupted or done again, and no lease has to run out."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.chaos.play import Settings, play

N_PROCESSES = 5


def test_a_fleet_is_restarted_and_its_customers_notice_nothing(tmp_path: Path) -> None:
    settings = Settings(n_runs=40, seconds=10, seed=5, n_customers=12, lease_s=3600, is_rolling=True)
    report = play("postgres", tmp_path, settings)
    print(report)
    assert report.is_clean, str(report)
    counts = report.sections["recovery"]
    assert int(counts["processes started"]) >= 2 * N_PROCESSES, str(report)
    for what in ("model answers asked for again", "calls interrupted, outcome unknown", "idempotent calls repeated"):
        assert counts[what] == 0, str(report)
