"""file_search: the tool in a run, the stores it looks in, and the markers that its passages are cited by."""
