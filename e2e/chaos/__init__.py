"""Chaos: servers are killed, frozen and cut off at random; then all that was promised is counted."""
