"""The command line: `agentrt`. Modules hold one command each; heavy imports stand inside the commands."""
