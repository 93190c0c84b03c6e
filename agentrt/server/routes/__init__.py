"""One router for each resource. Order counts within a file only."""
