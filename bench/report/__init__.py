"""From records to what is read: tables, figures, statistics, a page, exports. ``request`` and ``causes`` read files."""
