"""`python -m agentrt`: the same as the command `agentrt`."""

from agentrt.cli.main import main

main()
