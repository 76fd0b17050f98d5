"""Systems that learn from datasets each of which annotates only some of the classes."""
