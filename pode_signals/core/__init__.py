"""The rules of signals as pure functions and values: no Twisted, no clock, no I/O, no randomness of their own."""
