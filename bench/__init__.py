"""Benchmarks, each a script of its own: `python -m bench.loop`, `bench.service`, `bench.scale`. They print ratios."""
