"""A kill leaves each file absent or whole; `make fuzz` kills many more runs."""

import os

import pytest

from tests.fuzz import kills

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")


def test_commands_leave_models_and_tables_whole(tmp_path):
    kills.commands_under_fire(tmp_path, n_kills=4, seed=1)


def test_a_cache_holds_whole_entries_alone(tmp_path):
    kills.cache_under_fire(tmp_path, n_kills=5, seed=1)
