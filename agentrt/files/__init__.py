"""Bytes of stored files, by the hash of their content."""
