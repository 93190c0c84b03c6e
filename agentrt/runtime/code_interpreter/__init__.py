"""code_interpreter: the tool in a run, the sessions it runs in, and the files that stand in them."""
