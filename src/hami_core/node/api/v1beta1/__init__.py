"""Generated code of kubelet's device plugin API."""
