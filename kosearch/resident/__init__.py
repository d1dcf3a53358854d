"""A warm process for questions, so that model, Kiwi and indexes are loaded once and not for each of them.

    place.py       where it listens, and whose socket that is
    wire.py        what is said: a request and an answer, each a length and JSON
    forwarding.py  has a whole command run by one that is there; imports next to nothing
    client.py      asks it, and starts it where there is none; imports nothing heavy
    warm.py        what it holds
    server.py      takes requests until it is time to end

The process itself is `kosearch.cli.resident`, since it runs commands.

One resident serves a user's questions to all indexes, of whatever model. Another runs beside it only for another
installation, cache, device or forced model (see `place.socket_path`). It ends when nobody has asked for a while,
when the last index that it served goes away, when its socket does, and when kosearch is replaced by another version.
Without it, or when it does not answer in time, a question is answered in the asking process.
"""
