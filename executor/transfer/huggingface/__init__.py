"""Downloads inputs from Hugging Face repositories."""
