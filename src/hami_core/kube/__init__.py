"""The Kubernetes host: webhook, scheduler extender and the cache behind them, in one asyncio process."""
