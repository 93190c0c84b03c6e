"""Vectors for search: of files on their way into the index, of questions, and of everything when the model changes."""
