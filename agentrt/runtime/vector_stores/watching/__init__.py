"""Vector stores that agents.toml declares, and the folders whose files they hold."""
