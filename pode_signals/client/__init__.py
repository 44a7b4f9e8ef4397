"""A client of ``pode.signals.v1`` for Python: what users import. It decides nothing."""
