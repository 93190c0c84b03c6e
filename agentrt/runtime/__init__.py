"""Where the parts meet: the engine is driven here, on the store, with models and tools."""
