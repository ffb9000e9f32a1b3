"""A Score as sheet music: what a musician would write down for what sounds."""
