"""Files of vector stores on their way into the index: jobs that read, cut and write a few files each."""
