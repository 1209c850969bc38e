"""Recipes: short programs on featad's public names; ``python -m pipelines.NAME``."""
