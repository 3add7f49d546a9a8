from tests.nvidia_fake.hosts import doubles, host

__all__ = ["doubles", "host"]
