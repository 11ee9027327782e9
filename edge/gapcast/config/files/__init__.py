"""Small files beside the configuration: secrets, the gateway's id, and the address of the running service."""
