from tests.node.built import native_of_this_tree

__all__ = ["native_of_this_tree"]
