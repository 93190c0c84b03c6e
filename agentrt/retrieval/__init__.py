"""Search in vector stores: text → chunks → index → ranked passages. What is pure needs no database and no model."""
