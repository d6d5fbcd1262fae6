"""Routes, a module for each thing that has addresses."""
