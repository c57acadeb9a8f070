# What every node of a cluster has in its environment; docs/cluster.md says why.
export PATH=~/mcrelu-env/bin:$PATH
export RAY_AUTH_MODE=token
export RAY_grpc_client_keepalive_time_ms=10000
export RAY_grpc_client_keepalive_timeout_ms=10000
export RAY_JOB_STOP_WAIT_TIME_S=60
