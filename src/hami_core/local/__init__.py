"""The local host: shares of this machine's accelerators for ordinary processes, without Kubernetes."""
