"""The engine as a gRPC service, for other languages: `hami serve-fit`. The contract is `proto/hami/fit/v1/fit.proto`.

`server` opens the sockets and ends cleanly, `service` answers the calls, `book` is the state behind them, `decode` and
`encode` translate between messages and values. `fit/v1` is generated (`make proto`).
"""
