"""Grafana dashboards and Prometheus alerts for the metrics of `hami monitor`."""
