"""From a request to an open connection: what may become one, and the hand-over of its transport."""
