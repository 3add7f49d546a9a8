"""Generated code of the packages `hami.plugin.*`."""
