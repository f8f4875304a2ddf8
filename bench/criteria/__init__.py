"""Criteria, one file each; what they have in common is in ``bench.criterion``."""
