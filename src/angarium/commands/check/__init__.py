"""The checks behind ``postfix check`` and ``angarium check``: each finding has an id, a place and a hint.

One module a family of checks, each with a tuple ``RULES`` (what it can find) and a function ``check`` (which finds it).
"""
