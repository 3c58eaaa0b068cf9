"""What is made, in which order: documents, personas, conversations, and what a person sees of them."""
