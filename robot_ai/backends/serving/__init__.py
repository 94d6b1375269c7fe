"""Clients of model servers: what the backends `tf_serving` and `kserve` are made of."""
