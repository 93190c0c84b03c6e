"""All tables together: for migrations, and for making an empty database."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import MetaData

from agentrt.store.database import Record

TABLE_MODULES = (
    "assistants",
    "blobs",
    "code_files",
    "code_sessions",
    "commit_markers",
    "disabled_webhooks",
    "embedding_cache",
    "files",
    "jobs",
    "messages",
    "run_events",
    "run_steps",
    "runs",
    "schedules",
    "search_tables",
    "threads",
    "uploads",
    "vector_graphs",
    "vector_store_batches",
    "vector_store_files",
    "vector_stores",
    "watched_folders",
    "webhook_deliveries",
    "workers",
)


def metadata() -> MetaData:
    """The tables of this release. A module with a new table is named in TABLE_MODULES."""
    for module in TABLE_MODULES:
        import_module(f"agentrt.store.{module}")
    return Record.metadata
