"""Shipped fakes for tests of apps built on agentrt."""
