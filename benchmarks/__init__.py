"""Speed, memory and quality, measured; one script each, ``python -m benchmarks.NAME``."""
