"""The monitor of one host: what its shares use, as metrics, and who has to wait for whom."""
