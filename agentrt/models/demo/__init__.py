"""The built-in deterministic model: a script that stands in for a language model, and says so.

No network, no key, no randomness, no clock: the same request gives the same chunks. How a request becomes an answer:

    turn.py         what was said and done: the last words, what came before, tool calls since and their results
    decide.py       the order of the rules; one function to read for "why did it say that?"
    calls.py        which functions to call with what: matching.py (which tool), reading.py (arguments from text)
    hosted.py       code_interpreter and file_search: the shape of their calls, and the code that is written
    answers.py      tool results in words, citation markers copied
    memory.py       facts and recall from the user's messages
    instructions.py direct orders ("say X", "count to 5") and the form of an answer ("in one word")
    talk.py         small talk, honest
    structured.py   JSON answers that keep a schema
    model.py        the stream: chunks, usage, limits

Below them: sentence.py and mentions.py (a text, its values), fields.py (what a parameter wants), strings.py and
enums.py (candidates for one), schema.py, scalars.py and patterns.py (values a JSON Schema accepts), coding.py (Python
that answers), passages.py (citations), arithmetic.py, words.py, jsontext.py, and lexicon.py (word lists).
"""

from agentrt.models.demo.model import Demo

__all__ = ["Demo"]
