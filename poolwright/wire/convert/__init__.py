"""Between documents of the wire and values of the domain."""
