"""How a value of an annotation is written as JSON and read back: one form for each kind of annotation.

A form writes what is needed to have the very value again (its type, fields, digits, zone), checks the types of what it writes,
and reads it without running code of the user's: no validator, `__init__`, `__post_init__` or default factory. Where the plain
JSON of a value would not tell, the form writes a tag: see `values/tagged.py`.
"""
