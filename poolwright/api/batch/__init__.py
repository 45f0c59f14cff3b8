"""The Batch data plane over HTTP: parse, authorise, one command or query, render."""
