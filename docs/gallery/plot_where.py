"""
Where a part is odd
===================

A system is fitted on clean parts and draws the defects of new ones.
"""

import featad

parts = featad.make_spots_and_lines(20, 6, size=96)
print(len(parts))
