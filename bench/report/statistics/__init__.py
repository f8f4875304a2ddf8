"""Whether differences stand: ranks, tests, intervals, and records before and after a change."""
