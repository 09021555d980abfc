"""One question to a model: the exchange with the server, its protocol, and what its answer says."""
