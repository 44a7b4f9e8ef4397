"""What bytes mean: no I/O, no connection, no Twisted; the server, clients and the test kit share it."""
