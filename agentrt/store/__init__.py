"""The database: SQLModel tables, and plain functions `f(tx, …)` that read and write them on both engines."""
