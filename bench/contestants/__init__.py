"""The contestants, one a module; each has a function `contestant()`."""
