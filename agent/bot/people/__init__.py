"""Finds out which lines are for the agent and may be answered, and keeps two programs from talking for ever."""
