"""Downloads inputs and uploads outputs over HTTP, with limits of time and size."""
