"""Access restrictions: facts in, a Verdict with its reason and source out."""
