"""A fuzzer whose corpus grows, for every reader of bytes that come from outside: `python -m tests.fuzz`."""
