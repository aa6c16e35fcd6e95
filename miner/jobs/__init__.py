"""Jobs from acceptance to receipt: what is heard, recorded and passed on."""
