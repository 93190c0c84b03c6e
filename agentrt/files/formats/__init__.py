"""Readers: one module for each kind of file. Every one takes a path and writes text into a Draft.

They run in a process of their own (agentrt/files/processes.py), whose memory and time are limited: a reader need not
survive a hostile file, it has only to raise ExtractionError where it can say what is wrong. None imports the others'
libraries, and nothing is imported that the file at hand does not need.
"""
