"""Generated code of the packages `hami.fit.*`."""
