"""The contestants, one per module; each module has a function `contestant()`."""
