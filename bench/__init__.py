"""Benchmarks across real processes: `python -m bench --help`. What each is held to: docs/benchmarks.md."""
