"""How work is spread, kept and paid for; knows no persona."""
