"""Detectors of other libraries."""
