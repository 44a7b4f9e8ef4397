"""What the nodes of one application share: sends, logs, presence, questions. Never writes to a client."""
