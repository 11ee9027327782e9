"""The whole of gapcast in one process tree: a broker, a meter, the service, and someone who reads along."""
