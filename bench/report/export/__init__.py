"""Records to data frames and to experiment trackers."""
