"""Fields of documents, and the words of messages about them."""
