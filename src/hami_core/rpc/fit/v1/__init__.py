"""Generated code of the package `hami.fit.v1`: `make proto` writes it anew."""
