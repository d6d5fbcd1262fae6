"""What each figure is compared with: the least that does something of the same kind."""
