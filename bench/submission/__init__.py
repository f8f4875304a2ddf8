"""Submissions: records and code of others, packed for a pull request and checked before they are believed."""
