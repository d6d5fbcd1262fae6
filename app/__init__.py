"""An LLM chat that is plain hypermedia."""
