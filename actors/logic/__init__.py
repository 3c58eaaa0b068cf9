"""What a persona, a near-duplicate, a depth and a turn are. Pure: no Ray, no HTTP, no clock, no global randomness."""
