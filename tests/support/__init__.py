"""What several tests need: brokers, ports, waiting, and the rules of what may be left out."""
