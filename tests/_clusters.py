"""Dask clusters of this machine."""

from typing import Any


def local_cluster(n_workers: int = 2, **options: Any) -> Any:
    """Return a cluster whose workers are threads of this process, if not told else."""
    from distributed import LocalCluster

    usual = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    return LocalCluster(n_workers=n_workers, **(usual | options))
