"""The version of the distribution, read by setuptools and by every record."""

VERSION = "0.1.0"
