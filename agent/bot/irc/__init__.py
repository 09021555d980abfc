"""One IRC connection: messages as values, a session without socket or clock, and the link that keeps it alive."""
