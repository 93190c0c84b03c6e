"""Webhooks: what happens to runs, told to the addresses of `[[webhooks]]`, signed and retried.

An event's deliveries are stored in the transaction of the change that it tells of; each is a job like a run.
"""
