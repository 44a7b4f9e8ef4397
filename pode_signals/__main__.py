"""``python -m pode_signals``: the command ``pode-signals``."""

from __future__ import annotations

from .command.main import main

if __name__ == "__main__":
    main()
