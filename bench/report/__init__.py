"""Pure functions from records to frames to tables."""
