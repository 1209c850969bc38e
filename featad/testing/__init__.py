"""Checks that any detector can be held to: scikit-learn's and featad's own.

One file of checks per trait; which traits apply follows from what the detector is.
"""

from featad.testing.checks import check_detector, detector_checks

__all__ = ["check_detector", "detector_checks"]
