from tests.node.built import native_of_this_tree
from tests.nvidia_fake.hosts import doubles, host

__all__ = ["doubles", "host", "native_of_this_tree"]
