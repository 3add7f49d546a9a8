"""Text that other programs read or write: one module per protocol, each decoder refusing with a place and a field."""
