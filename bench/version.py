"""The version of the distribution, read by setuptools and by every record."""

VERSION = "1.0.0"
