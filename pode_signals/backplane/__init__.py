"""What the nodes of one application share: sends and closes, logs, presence, questions. Never writes to a client."""
