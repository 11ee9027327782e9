"""The Home Assistant add-on: its options, and the broker that its Supervisor provides."""
