"""Methods for oneclass-bench."""
