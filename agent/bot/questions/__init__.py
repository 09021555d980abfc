"""A question's way to an answer: what was said, what the model is told, the queue, the turn."""
