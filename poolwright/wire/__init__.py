"""The edge formats: bodies, OData, paging, error bodies, and converters between wire and domain."""
