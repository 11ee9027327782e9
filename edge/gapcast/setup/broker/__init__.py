"""The broker that ``gapcast setup`` asks for: its address and account, and the connection to it."""
