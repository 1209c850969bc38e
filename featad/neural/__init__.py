"""Detectors that train networks: their bases, the training loop, networks, losses."""
