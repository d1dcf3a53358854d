"""Measuring a search: collections in, measures and comparisons out. Nothing here prints.

collections  BEIR and TREC files, runs, and a user's own questions, checked line by line
experiment   systems asked a collection's questions, and what each found
measures     the two families of measures and the paired test; means, comparisons, failures, JSON, and a plot
"""
