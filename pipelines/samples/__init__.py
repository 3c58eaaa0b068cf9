"""The documents that come with populace."""
