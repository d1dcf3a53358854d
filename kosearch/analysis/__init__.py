"""What belongs together in an index: duplicates, similar documents, topics. No file is read again for it.

Everything here is computed from a snapshot's vectors, terms and texts, in the order of paths, so that it is the same
whatever the order in which files were indexed.
"""
