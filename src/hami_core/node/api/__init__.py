"""Generated code of kubelet's own APIs: `make proto` writes it anew."""
