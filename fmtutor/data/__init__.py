"""Cases and where they come from: samples, the virtual cohort, public datasets, tasks, clicks."""
