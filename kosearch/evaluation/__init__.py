"""Measuring a search: collections in, measures and comparisons out. Nothing here prints.

collections  BEIR and TREC files, and a user's own questions, checked line by line
experiment   systems asked a collection's questions, and what each found
runs         ranked lists: from vectors, and as TREC run files
metrics      the two families of measures, one question at a time, and the paired test
reports      a run against the judgements: means, comparisons, failures, JSON
plot         recall against k, as SVG
"""
