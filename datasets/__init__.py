"""One file a dataset family. Files whose names start with _ are shared parts."""
