"""Who drives what, and when: dispatch of jobs and hints between the parts."""
