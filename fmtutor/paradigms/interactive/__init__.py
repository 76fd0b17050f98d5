"""Systems that are told what to segment by clicks, boxes, scribbles or text, and are corrected."""
