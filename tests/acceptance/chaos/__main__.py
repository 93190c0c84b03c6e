"""`make chaos`: the whole test, on both databases. Prints a report each; exits with 1 when a rule is broken."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import get_args

from tests.acceptance.chaos.play import DatabaseName, Settings, play


def main() -> int:
    environ = os.environ  # noqa: TID251 - the settings of this test, not of agentrt
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--database", choices=get_args(DatabaseName), action="append", help="only this one")
    parser.add_argument("--runs", type=int, default=int(environ.get("AGENTRT_CHAOS_RUNS", "300")), help="per database")
    parser.add_argument("--seconds", type=float, default=float(environ.get("AGENTRT_CHAOS_SECONDS", "90")))
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of all dice")
    parser.add_argument("--patience", type=float, default=90.0, help="seconds that runs may take to end afterwards")
    parser.add_argument("--keep", type=Path, help="keep databases and logs in this folder")
    options = parser.parse_args()
    is_clean = True
    for name in options.database or get_args(DatabaseName):
        settings = Settings(
            n_runs=options.runs, seconds=options.seconds, seed=options.seed, patience_s=options.patience
        )
        with tempfile.TemporaryDirectory(prefix="agentrt-chaos-") as temporary:
            folder = Path(temporary) if options.keep is None else options.keep / name
            folder.mkdir(parents=True, exist_ok=True)
            report = play(name, folder, settings)
        print(f"{report}\n\nseed {options.seed}\n", flush=True)
        is_clean = is_clean and report.is_clean
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
