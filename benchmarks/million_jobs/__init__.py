"""Times every database query of the services with a million jobs stored."""
