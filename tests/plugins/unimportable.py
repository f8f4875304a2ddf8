"""A plugin that raises while it is imported."""

raise RuntimeError("this plugin needs a licence key")
