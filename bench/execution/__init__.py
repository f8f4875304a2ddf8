"""Running jobs: a supervisor for each slot, a warm worker process for each supervisor, records as they come in."""
