"""One file a method; its name is the file's name. Files whose names start with _ are shared parts."""
