"""What an app does with the official openai-python SDK, as scenarios that 1.x, 2.x and 3.x play unchanged.

`python -m tests.compat.sdk URL` plays all of them with the SDK that it finds and prints a line of JSON for each. They
import nothing but the SDK; what the model says is named in the assistant's instructions (see plays.py).
"""
