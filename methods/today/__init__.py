"""Detectors that the field measures by today: self-supervised ones, and ones on deep features."""
