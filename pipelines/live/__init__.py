"""A run as it goes on, for those who watch: on the terminal that runs it, on another one, and in a browser."""
