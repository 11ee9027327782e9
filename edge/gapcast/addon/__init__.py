"""As an add-on of Home Assistant: its options, and the broker that its Supervisor knows."""
