"""The machinery behind sandboxes/: isolated places in which a model's code runs, and the talk with them."""
