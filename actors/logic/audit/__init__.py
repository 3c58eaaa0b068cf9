"""Who is in a corpus of personas: what their descriptions say of them, how it is spread, and what hangs together."""
