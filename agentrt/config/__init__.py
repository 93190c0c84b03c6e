"""agents.toml: read, checked, and turned into one frozen `Config`. The only package that reads the environment."""
