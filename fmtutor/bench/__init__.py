"""Evidence: the talk's tables as data, runs of notebooks and tables, results and their figures."""
