"""Vector stores: the stores and their files, indexing, vectors, watched folders, and the one way to search."""
