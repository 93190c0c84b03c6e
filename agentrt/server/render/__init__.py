"""What the engine and the store hold, in the words of a wire dialect. Pure."""
