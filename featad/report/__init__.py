"""Pictures of scores, for people."""
