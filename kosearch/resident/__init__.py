"""A warm process for questions, so that model, Kiwi and indexes are loaded once and not for each of them.

    sockets.py     where it listens, and whose socket that is
    protocol.py    what is said: a request and its replies, each a length and JSON
    client.py      has a command run by one that is there; imports next to nothing
    launcher.py    starts, lists and ends residents, and has a command run by one that is started for it
    warm.py        what it holds
    server.py      takes requests until it is time to end

The process itself is `kosearch.cli.resident`, since it runs commands.

One resident serves a user's questions to all indexes, of whatever model. Another runs beside it only for another
installation, cache, device or forced model (see `sockets.socket_path`). It ends when nobody has asked for a while,
when the last index that it served goes away, when its socket does, and when kosearch is replaced by another version.
Without it, or when it does not answer in time, a question is answered in the asking process.
"""
