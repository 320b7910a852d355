"""The rules of the budget: slots, pause, lanes, pacing and foreign usage."""
