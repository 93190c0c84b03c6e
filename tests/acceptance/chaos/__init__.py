"""The chaos test: what it does and how to read it is docs/chaos.md. Read the modules in this order:

jobs       what customers ask for, and what the right answer is
effects    the tools of the project under test, with a log of their own
model_server, node, nursery    the processes: the scripted model, the service, and what starts and ends them all
clock, database, fleet         what faults can be done to
customers, api                 who asks, in every manner that the API offers
faults, witness                what goes wrong, and who watches meanwhile
evidence, judge_runs, judge_clients    what is left when all is over, and the rules
report, play                   what is told in the end; one test from its first process to the verdict
teeth      takes safeguards out of the code, to see that the rules notice
"""
