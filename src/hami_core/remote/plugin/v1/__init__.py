"""Generated code of the package `hami.plugin.v1`: `make proto` writes it anew."""
