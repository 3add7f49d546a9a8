"""Generated code of kubelet's pod-resources API."""
