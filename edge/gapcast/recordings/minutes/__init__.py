"""Series of one value per minute, made from the rows of a file, and the report on these rows."""
