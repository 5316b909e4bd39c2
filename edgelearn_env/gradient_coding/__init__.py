"""Hierarchical gradient coding: devices under edge nodes under a server, which need not wait for all of them."""
