"""Bytes of stored files, by the hash of their content, and the text that is in them."""
