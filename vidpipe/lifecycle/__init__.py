"""What becomes of published titles: which version is live, what people read of it, what is deleted. One module an operation."""
