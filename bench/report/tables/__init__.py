"""Records to tables, published figures beside them, in every format."""
