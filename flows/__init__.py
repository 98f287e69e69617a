"""The flows, and the tasks that they are made of."""
