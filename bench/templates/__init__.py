"""What ``bench new`` writes: ``my_method``, ``MyMethod`` and their like give way to the name that was asked for."""
