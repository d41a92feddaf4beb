"""``angarium explain``: the path of a message, taken in a dry run by the functions that would take it in earnest."""
