"""Plugins in processes of their own: a vendor's agent, in any language, behind a unix socket.

The scheduler knows such a plugin by a file with its tables; the node agent calls it for what a node needs. The
contract is `proto/hami/plugin/v1/plugin.proto`, the guide docs/plugins/out-of-process.md.

Modules: `places` (which files and sockets there are, and whether they can be trusted), `description` (the tables),
`session` (one call, on time), `answers` (what may come back), `bridge` (the plugin object that the core loads),
`children` (probe and watch in a child process).
"""
