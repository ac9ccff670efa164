"""Developer tools that are no tests; the Makefile calls them."""
