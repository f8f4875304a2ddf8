"""One file a method, whose name is the file's, in a folder for its family. What methods share starts with _."""
