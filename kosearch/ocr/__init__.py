"""Pictures of text become text, offline: the engine, what is in a picture of a page, and its lines in order."""
