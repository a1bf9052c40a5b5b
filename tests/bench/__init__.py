"""Benchmarks: CPU time per operation, as ratios to a bare aiohttp handler measured in the same run."""
